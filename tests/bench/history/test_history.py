"""The command as a user runs it, on a few rows."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from bench.brief import quoted
from bench.history.__main__ import MEASUREMENTS, bench_of
from bench.history.summary import brief, summary
from bench.serving.records import read
from kizashi.errors import ConfigurationError
from pipelines.command import CONF

ROOT = Path(__file__).parents[3]
STORES = {"sqlite", "postgresql"}


@dataclass(frozen=True)
class Ran:
    folder: Path

    @property
    def table(self) -> pd.DataFrame:
        return read(self.folder / "out" / "history.csv")

    @property
    def document(self) -> str:
        return (self.folder / "out" / "history.md").read_text()

    def figure(self, measure: str, figure: str) -> pd.Series:
        """By database and variant."""
        table = self.table
        named = table[(table["measure"] == measure) & (table["figure"] == figure)]
        return named.set_index(["server", "variant"])["value"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("bench")
    readme = folder / "README.ja.md"
    readme.write_text("a\n<!-- bench.history -->\nold\n<!-- /bench.history -->\nb\n")
    places = [f"work={folder / 'work'}", f"out={folder / 'out'}", f"readme.ja={readme}"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.history", *places, "quick=true", "trainer.steps=50"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Ran(folder)


def test_every_measure_has_figures_and_a_section(ran: Ran) -> None:
    assert list(dict.fromkeys(ran.table["measure"])) == ["machine", *MEASUREMENTS]
    assert ran.document.count("\n## ") == len(MEASUREMENTS)
    failed = ran.table[ran.table["figure"] == "failed"]
    assert failed.empty, failed["note"].tolist()


def test_all_that_is_answered_is_written_or_counted(ran: Ran) -> None:
    answered = ran.figure("sustained", "answered")
    assert {store for store, _ in answered.index} == STORES
    accounted = ran.figure("sustained", "written") + ran.figure("sustained", "dropped")
    assert answered.min() > 10
    assert (accounted == answered).all()


def test_the_history_is_measured_beside_none(ran: Ran) -> None:
    cpu = ran.figure("added", "cpu_us")["sqlite"]
    assert len(cpu) == 6
    for kind in ("", "_anomalies"):
        kept, unkept, difference = (
            cpu[f"{one}{kind}"] for one in ("with", "without", "difference")
        )
        assert min(kept, unkept) > 0
        assert difference == pytest.approx(kept - unkept, rel=0.01, abs=0.01)


def test_no_answered_anomaly_is_lost_in_any_fault(ran: Ran) -> None:
    lost = ran.figure("faults", "anomalies_lost")
    assert set(lost.index) == {
        ("sqlite", "killed"),
        ("postgresql", "killed"),
        ("sqlite", "full"),
        ("postgresql", "stopped"),
    }
    assert lost.sum() == 0
    assert ran.figure("faults", "anomalies").min() > 0
    assert ran.figure("faults", "refused")["sqlite"]["full"] > 0


def test_normal_rows_that_are_lost_while_the_service_lives_are_counted(ran: Ran) -> None:
    lost, counted = (ran.figure("faults", name) for name in ("normal_lost", "normal_counted"))
    for fault in (("sqlite", "full"), ("postgresql", "stopped")):
        assert lost[fault] <= counted[fault]


def test_each_alarm_is_waited_for_at_the_receiver(ran: Ran) -> None:
    assert (ran.figure("notified", "alarms") == 3).all()
    middle, worst = (ran.figure("notified", name) for name in ("p50_ms", "worst_ms"))
    assert (middle <= worst).all() and middle.min() > 0


def test_a_year_is_asked_for_and_shown(ran: Ran) -> None:
    asked = ran.figure("year", "points")["sqlite"]
    assert asked["hour_of_rows"] == pytest.approx(3600, abs=2)
    assert asked["day_by_minute"] == pytest.approx(1440, abs=2)
    assert {"page_overview", "page_year"} <= set(ran.figure("year", "ms")["sqlite"].index)


def test_a_readme_quotes_the_table_in_its_language(ran: Ran) -> None:
    text = (ran.folder / "README.ja.md").read_text()
    assert text.startswith("a\n") and text.endswith("-->\nb\n") and "old" not in text
    assert "| 項目 | SQLite | PostgreSQL |" in text
    assert "[out/history.md](out/history.md)" in text


def test_nothing_large_stays(ran: Ran) -> None:
    assert not (ran.folder / "work" / "history").exists()


@pytest.mark.parametrize(
    ("option", "sentence"), [("sources=0", "sources is 0"), ("seconds=0", "seconds is 0")]
)
def test_a_wrong_setting_is_refused_before_anything_is_trained(
    tmp_path: Path, option: str, sentence: str
) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("bench_history", [f"work={tmp_path / 'work'}", option])
        with pytest.raises(ConfigurationError, match=sentence):
            bench_of(config)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("language", "name"), [("en", "README.md"), ("ja", "README.ja.md")])
def test_the_readme_quotes_the_recorded_results(language: str, name: str) -> None:
    recorded = read(ROOT / "bench" / "results" / "history.csv")
    text = brief(recorded, "bench/results/history.md", language)
    assert quoted(ROOT / name, "bench.history") == text
    document = (ROOT / "bench" / "results" / "history.md").read_text(encoding="utf-8")
    assert document == summary(recorded)


def test_no_answered_anomaly_is_lost_in_the_record() -> None:
    recorded = read(ROOT / "bench" / "results" / "history.csv")
    assert recorded.loc[recorded["figure"] == "anomalies_lost", "value"].tolist() == [0.0] * 4
