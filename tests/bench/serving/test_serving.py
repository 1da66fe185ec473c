"""The command as a user runs it, on a few requests and rows."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from bench.brief import quoted
from bench.serving.__main__ import bench_of
from bench.serving.brief import brief
from bench.serving.records import read
from bench.serving.summary import summary
from kizashi.errors import ConfigurationError
from pipelines.command import CONF

ROOT = Path(__file__).parents[3]
OURS = ("kizashi", "kizashi_without_history")
MEASURES = ["requests", "starts", "batches", "stream", "swap", "workers"]


@dataclass(frozen=True)
class Ran:
    folder: Path
    said: str

    @property
    def table(self) -> pd.DataFrame:
        return read(self.folder / "out" / "serving.csv")

    @property
    def document(self) -> str:
        return (self.folder / "out" / "serving.md").read_text()

    def figure(self, measure: str, figure: str, variant: str = "") -> pd.Series:
        table = self.table[self.table["variant"] == variant]
        named = (table["measure"] == measure) & (table["figure"] == figure)
        return table[named].groupby("server", sort=False)["value"].min()


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # This environment stands in for the service's, and none can be built for the others.
    places = [f"work={folder / 'work'}", f"out={folder / 'out'}", f"python={sys.executable}"]
    fast = ["quick=true", "uv=no-such-uv", "trainer.steps=50", "train_rows=1000"]
    return subprocess.run(
        [sys.executable, "-m", "bench.serving", *places, *fast, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("bench")
    readme = folder / "README.ja.md"
    readme.write_text("a\n<!-- bench.serving -->\nold\n<!-- /bench.serving -->\nb\n")
    done = run(folder, "peers=[kizashi_without_history,bare_asgi,mlserver]", f"readme.ja={readme}")
    assert done.returncode == 0, done.stderr
    return Ran(folder, done.stdout)


def test_every_measure_has_figures_and_a_section(ran: Ran) -> None:
    assert list(dict.fromkeys(ran.table["measure"])) == ["machine", *MEASURES]
    assert ran.document.count("\n## ") == len(MEASURES)
    failed = ran.table[ran.table["figure"] == "failed"]
    assert set(failed["server"]) == {"mlserver"}, failed["note"].tolist()


def test_servers_are_driven_and_counted(ran: Ran) -> None:
    requests, cpu = ran.figure("requests", "requests"), ran.figure("requests", "cpu_us")
    assert set(requests.index) == set(cpu.index) == {*OURS, "bare_asgi"}
    assert requests.min() > 10 and 0 < cpu["bare_asgi"] < cpu["kizashi"]
    assert ran.figure("requests", "failures").sum() == 0
    assert 20 < ran.figure("requests", "worker_mib")["kizashi"] < 1000


def test_the_service_is_measured_with_everything_switched_on(ran: Ran) -> None:
    assert ran.figure("requests", "keys")["kizashi"] == 1
    assert ran.figure("requests", "metrics")["kizashi"] == 1
    assert ran.figure("requests", "history")["kizashi"] == 1
    assert "ours: validation, calibration and request ids, keys, metrics, history." in ran.document


def test_a_server_that_cannot_be_built_is_named_with_the_reason(ran: Ran) -> None:
    assert "- mlserver could not be measured: its environment cannot be made" in ran.document
    assert "no-such-uv" in ran.document


def test_every_row_of_a_batch_and_of_a_stream_is_answered(ran: Ran) -> None:
    table = ran.table
    posted = table[(table["figure"] == "rows_per_second") & (table["server"] == "kizashi")]
    assert set(posted["variant"]) == {"csv", "json", "ndjson", "arrow", "parquet"}
    assert ran.figure("stream", "peak_mib", "csv")["kizashi"] > 20


def test_versions_are_swapped_and_no_request_fails(ran: Ran) -> None:
    assert ran.figure("swap", "swaps", "swapping")["kizashi"] >= 1
    assert ran.figure("swap", "failures", "swapping")["kizashi"] == 0


def test_a_readme_quotes_the_table_in_its_language(ran: Ran) -> None:
    text = (ran.folder / "README.ja.md").read_text()
    assert text.startswith("a\n") and text.endswith("-->\nb\n") and "old" not in text
    assert "| サーバー |" in text and "| **kizashi** |" in text
    assert "mlserver は計測できませんでした" in text
    assert "[out/serving.md](out/serving.md)" in text


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("peers=[nginx]", "peers has 'nginx'; there are: kizashi, kizashi_without_history"),
        ("sensors=0", "sensors is 0"),
        ("seconds=0", "seconds is 0"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_trained(
    tmp_path: Path, option: str, sentence: str
) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("bench_serving", [f"work={tmp_path / 'work'}", option])
        with pytest.raises(ConfigurationError, match=sentence):
            bench_of(config)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("language", "name"), [("en", "README.md"), ("ja", "README.ja.md")])
def test_the_readme_quotes_the_recorded_results(language: str, name: str) -> None:
    recorded = read(ROOT / "bench" / "results" / "serving.csv")
    text = brief(recorded, "bench/results/serving.md", language)
    assert quoted(ROOT / name, "bench.serving") == text
    document = (ROOT / "bench" / "results" / "serving.md").read_text(encoding="utf-8")
    assert document == summary(recorded)
