from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from bench.cases import Case, find_cases
from bench.methods import Method
from bench.outcome import Outcome
from bench.ranking import Ranking, measured
from bench.records import Record, Results, failed, key_of, read_table
from kizashi.errors import DataError
from kizashi.runtime.calibration import fewest_rows
from kizashi.runtime.thresholds import BlocksThreshold, CalibrationScores, ConformalThreshold
from pipelines.command import CONF
from tests.bench.made_cases import make_case

RANKING = Ranking.columns
RECORDED = Path(__file__).parents[2] / "bench" / "results" / "detection.csv"


def configured(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("bench_detection", ["cases=none", "out=none", *overrides])


def method(*overrides: str, alphas: Sequence[float] = (0.1,), peer: str | None = None) -> Method:
    return Method("kizashi", configured(*overrides), alphas, peer)


def names(**other: str) -> Record:
    placed = ["tables", "case", "kizashi", "0", "0.1", "abc"]
    return {**dict(zip(RANKING.names, placed, strict=True)), **other}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    make_case(tmp_path / "data" / "tables" / "case", test_rows=100)
    return find_cases(tmp_path / "data")[0].read()


def outcome(case: Case, false_alarms: int, found: int) -> Outcome:
    """Verdicts with as many of both; 80 test rows are normal and 20 are not."""
    label_N = case.label_N
    anomaly_N = np.zeros(len(label_N), dtype=bool)
    anomaly_N[np.flatnonzero(~label_N)[:false_alarms]] = True
    anomaly_N[np.flatnonzero(label_N)[:found]] = True
    threshold = ConformalThreshold(0.1).fit(np.arange(199.0))
    score_N = label_N.astype(np.float64)
    return Outcome(score_N, 1 - score_N, [threshold], [anomaly_N], 2.0, 3.0, 4.0)


def test_a_row_tells_the_rule_that_applied_and_what_its_rows_are_worth(case: Case) -> None:
    judged = outcome(case, false_alarms=8, found=15)
    rng = np.random.default_rng(0)
    wandering = CalibrationScores(np.cumsum(rng.normal(size=400)) ** 2 + 1, in_time=True)
    rules = [
        ConformalThreshold(0.1).fit(np.arange(199.0)),
        ConformalThreshold(0.001).fit(np.arange(1.0, 200.0)),
        BlocksThreshold(0.01).fit(wandering),
    ]
    applied = [measured(case, method(), replace(judged, thresholds=[one]))[0] for one in rules]
    told = [(row["threshold"], row["effective_rows"]) for row in applied]
    assert told[:2] == [("conformal", 199), ("exponential tail", 199)]
    assert told[2][0] == "exponential tail" and told[2][1] < 400 == applied[2]["calibration_rows"]


def test_recorded_rows_tell_the_rule_that_their_numbers_of_rows_allow() -> None:
    recorded = read_table(RECORDED, RANKING)
    told = recorded[recorded["effective_rows"].notna()]
    assert (recorded.loc[recorded["kind"] == "exchangeable", "failed"] == "").all()
    assert set(recorded.loc[recorded["effective_rows"].isna(), "threshold"]) <= {"blocks"}
    of_rows = told[told["kind"] == "exchangeable"]
    named = zip(
        of_rows["alpha"].astype(float),
        of_rows["calibration_rows"].astype(int),
        of_rows["threshold"].astype(str),
        strict=True,
    )
    for alpha, rows, threshold in named:
        enough = rows >= fewest_rows(alpha)
        assert threshold == ("conformal" if enough else "exponential tail")
    assert (of_rows["effective_rows"] == of_rows["calibration_rows"]).all()


def test_a_row_counts_verdicts_and_ranks_scores(case: Case) -> None:
    (row,) = measured(case, method(), outcome(case, false_alarms=8, found=15))
    assert (row["auroc"], row["auroc_calibrated"]) == (1.0, 0.0)
    assert (row["false_alarms"], row["normal_rows"], row["false_alarm_rate"]) == (8, 80, 0.1)
    assert (row["found"], row["anomalous_rows"], row["detection_rate"]) == (15, 20, 0.75)
    assert row["bundle_bytes"] == ""


@pytest.mark.parametrize(("false_alarms", "inside"), [(0, 1), (8, 1), (30, 0)])
def test_a_case_is_held_to_the_band_of_its_own_numbers(
    case: Case, false_alarms: int, inside: int
) -> None:
    (row,) = measured(case, method(), outcome(case, false_alarms, 0))
    assert row["calibration_rows"] == 199
    assert 0 <= row["band_low"] < 0.1 < row["band_high"] < 0.3
    assert row["within_band"] == inside


def test_false_alarms_of_a_series_are_counted_before_its_first_anomaly_too(case: Case) -> None:
    series = replace(case, kind="series")
    first = int(np.argmax(case.label_N))
    judged = outcome(series, false_alarms=80, found=20)
    (row,) = measured(series, method(), judged)
    assert (row["false_alarms_before"], row["normal_rows_before"]) == (first, first)


def test_rows_are_kept_and_added_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "detection.csv"
    failure = failed(names(), "series", ValueError("no\nmore"))
    Results(path, RANKING).add([failure, failed(names(seed="1"), "series", ValueError())])
    again = Results(path, RANKING)
    assert again.has(names()) and again.has(names(seed="1")) and not again.has(names(seed="2"))
    before = path.read_bytes()
    again.add([failure])
    assert path.read_bytes() == before
    table = again.table([names()])
    assert table["failed"].tolist() == ["ValueError: no"]


@pytest.mark.parametrize("name", RANKING.names)
def test_a_row_is_known_by_all_of_its_names(tmp_path: Path, name: str) -> None:
    results = Results(tmp_path / "detection.csv", RANKING)
    results.add([failed(names(), "series", ValueError("no"))])
    assert not results.has(names(**{name: "7"}))
    assert results.table([names(**{name: "7"})]).empty


def test_a_table_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "detection.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="use another out"):
        Results(path, RANKING)
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    "override",
    ["model.width=32", "scorer=mahalanobis_error", "window.length=4", "threshold=mad"],
)
def test_another_configuration_has_another_key(override: str) -> None:
    assert key_of("data", method(override), 1) != key_of("data", method(), 1)


def test_seed_rate_and_progress_are_not_in_the_key_but_the_data_is() -> None:
    same = ["seed=5", "trainer.progress=true", "threshold.alpha=0.2"]
    key = key_of("data", method("split=random"), 1)
    assert key_of("data", method("split=random", "split.seed=3", *same), 1) == key
    assert key_of("other", method("split=random"), 1) != key


def test_the_key_of_a_peer_depends_on_what_it_shares_and_not_on_our_network() -> None:
    key = key_of("data", method(peer="t2_ledoit_wolf"), 1)
    assert key_of("data", method("model.width=32", peer="t2_ledoit_wolf"), 1) == key
    assert key_of("data", method("window.length=3", peer="t2_ledoit_wolf"), 1) != key
    assert key_of("data", method(peer="seed_autoencoder"), 1) != key


def test_scores_that_are_no_numbers_are_refused(case: Case) -> None:
    good = outcome(case, 0, 0)
    with pytest.raises(DataError, match="not finite"):
        Outcome(good.score_B * np.nan, good.score_B, [], [], 0.0, 0.0, 0.0)
