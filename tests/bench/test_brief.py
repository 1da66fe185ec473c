import re
from pathlib import Path

import pandas as pd
import pytest

from bench.brief import brief, make_command, quote, quoted
from bench.ranking import Ranking
from bench.records import read_table
from bench.sample import made_by, sample_summary
from tests.bench.test_summary import row

ROOT = Path(__file__).parents[2]
READMES = [("en", ROOT / "README.md"), ("ja", ROOT / "README.ja.md")]
RESULTS = "bench/results"


@pytest.mark.parametrize(("language", "readme"), READMES)
def test_the_readme_quotes_the_recorded_results_of_the_sample(language: str, readme: Path) -> None:
    table = pd.read_csv(ROOT / RESULTS / "sample.csv")
    assert quoted(readme, "bench.sample") == sample_summary(table, language)


def test_the_sample_in_windows_is_summarised_as_recorded_and_without_a_band() -> None:
    folder = ROOT / RESULTS / "windowed"
    table = pd.read_csv(folder / "sample.csv")
    command = made_by(["window.length=32", "out=elsewhere", "readme.en=null"])
    summary = sample_summary(table, made_by=command)
    assert "`python -m bench.sample window.length=32`" in summary
    assert "band" not in summary and "nan" not in summary
    assert (folder / "sample.md").read_text("utf-8") == f"# The bundled sample\n\n{summary}"


@pytest.mark.parametrize(("language", "readme"), READMES)
def test_the_readme_quotes_the_recorded_results_of_detection(language: str, readme: Path) -> None:
    text = quoted(readme, "bench.detection")
    recorded = read_table(ROOT / RESULTS / "detection.csv", Ranking.columns)
    known = [name for name in Ranking.columns.names if name != "key"]
    latest = recorded.drop_duplicates(known, keep="last")
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    methods = [cell for cell in dict.fromkeys(cells) if cell in set(latest["method"])]
    suites = re.findall(r"^`(\w+)`", text, re.MULTILINE)
    of_these = latest[latest["method"].isin(methods) & latest["suite"].isin(suites)]
    [command] = re.findall(r"`(make bench-detection DATA=FOLDER[^`]*)`", text)
    assert "kizashi" in methods and len(methods) > 1 and suites
    assert brief(of_these, methods, command, f"{RESULTS}/detection.md", language) == text


def test_what_is_quoted_is_the_rate_of_one_percent_and_the_median_cost() -> None:
    rows = [
        row("a", "ours", 0.9, alpha="0.1"),
        row("a", "ours", 0.9, alpha="0.01", false_alarm_rate=0.012),
        row("a", "theirs", 0.8, alpha="0.1"),
        row("b", "ours", 0.7, alpha="0.01", false_alarm_rate=0.008, single_us=3.0),
    ]
    text = brief(pd.DataFrame(rows), ["ours", "theirs"], "the command", "whole.md")
    assert text.startswith("`tables`: 2 cases, 1 seeds.\n\n| method |")
    assert "| ours | 0.800 / 0.400 | 1.00 / 1.00 | – / – | 1.00% | 1.0 / 2.0 |" in text
    assert "| theirs | 0.800 / 0.400 | 2.00 / 2.00 | – / – | – | 1.0 / 1.0 |" in text
    assert text.endswith("`the command` makes these tables; [whole.md](whole.md) has every case.\n")


def test_of_series_missed_rows_are_quoted_beside_false_alarms() -> None:
    one_percent = {"kind": "series", "alpha": "0.01"}
    rows = [
        row("a", "ours", 0.9, **one_percent, found=20, false_alarms=0, normal_rows=240),
        row("b", "ours", 0.7, **one_percent, found=10, false_alarms=16),
    ]
    # 30 of 40 found, 16 of 320 false: F1 = 2 * 30 / (46 + 40)
    text = brief(pd.DataFrame(rows), ["ours"], "the command", "whole.md")
    assert "| F1 / FAR / MAR, 1 % asked for |" in text
    assert "| 0.698 / 5.00% / 25.00% |" in text


@pytest.mark.parametrize("language", ["en", "ja"])
def test_p_against_nearest_neighbours_is_quoted(language: str) -> None:
    ours = [row(f"case {place}", "ours", 0.61 + 0.02 * place) for place in range(6)]
    theirs = [row(f"case {place}", "pyod_knn", 0.6) for place in range(6)]
    text = brief(pd.DataFrame(ours + theirs), ["ours", "pyod_knn"], "x", "whole.md", language)
    # All of 6 differences are positive: 2 of the 2 ** 6 sign patterns are as extreme.
    assert f"| {2 / 64:.4f} / {2 / 64:.4f} |" in text and "| – / – |" in text


def test_text_comes_between_the_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("a\n<!-- x -->\nold\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\n")
    quote(document, "x", "new \\1\n")
    assert quoted(document, "x") == "new \\1\n" and quoted(document, "y") == "kept\n"
    before = document.read_bytes()
    quote(document, "z", "nowhere")
    assert document.read_bytes() == before
    quote(tmp_path / "absent.md", "x", "nowhere")
    assert not (tmp_path / "absent.md").exists()
    with pytest.raises(ValueError, match="no marks 'z'"):
        quoted(document, "z")


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        ([], ""),
        (["measure=[ranking,missing]"], ""),
        (["seeds=[0]", "model=dense"], " OPTIONS=\"'seeds=[0]' model=dense\""),
        (['variants=["",model=dense]'], """ OPTIONS=''"'"'variants=["",model=dense]'"'"''"""),
    ],
)
def test_the_command_that_is_quoted_is_one_for_a_shell(overrides: list[str], options: str) -> None:
    assert make_command(overrides) == f"make bench-detection DATA=FOLDER{options}"
