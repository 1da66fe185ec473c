from pathlib import Path

import numpy as np
import pytest

from bench.cases import Case, find_cases
from bench.methods import Method
from bench.outcome import Outcome, outcome
from kizashi.errors import DataError
from kizashi.evaluation.metrics import auroc
from tests.bench.made_cases import make_case
from tests.bench.test_records import method

FAST = ("trainer=fast", "trainer.progress=false", "split=random", "scorer=mahalanobis_error")


def run(method: Method, case: Case, seed: int = 0) -> Outcome:
    windows_BTF = case.test_windows(method.window_length)
    return outcome(method.fit(case, seed), windows_BTF, method.thresholds())


def read(folder: Path) -> Case:
    return find_cases(folder)[0].read()


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return read(make_case(tmp_path_factory.mktemp("data") / "tables" / "case", train_rows=600))


@pytest.fixture(scope="module")
def own(case: Case) -> Outcome:
    return run(method(*FAST, alphas=[0.1, 0.02]), case)


def test_our_detector_tells_anomalies_and_is_measured_as_it_would_serve(
    case: Case, own: Outcome
) -> None:
    assert auroc(case.label_N, own.score_B) > 0.9
    np.testing.assert_array_equal(own.score_B, own.calibrated_score_B)
    assert own.bundle_bytes is not None and own.bundle_bytes > 1000
    assert min(own.fit_seconds, own.batch_us, own.single_us) > 0


def test_every_rate_has_its_threshold_from_one_fit(own: Outcome) -> None:
    often, seldom = own.thresholds
    assert (often.false_alarm_rate, seldom.false_alarm_rate) == (0.1, 0.02)
    assert often.value < seldom.value
    assert often.calibration_rows == seldom.calibration_rows == 180
    for threshold, anomaly_B in zip(own.thresholds, own.anomaly_B, strict=True):
        np.testing.assert_array_equal(anomaly_B, own.score_B > threshold.value)


def test_a_rule_without_a_rate_gives_one_threshold(case: Case) -> None:
    (threshold,) = method("threshold=mad", alphas=[0.1, 0.02], peer="t2_ledoit_wolf").thresholds()
    assert threshold.kind == "mad" and threshold.false_alarm_rate is None


def test_a_peer_ranks_with_every_row_and_is_calibrated_on_rows_it_did_not_see(case: Case) -> None:
    peer = run(method(*FAST, alphas=[0.1], peer="t2_ledoit_wolf"), case)
    assert auroc(case.label_N, peer.score_B) > 0.9
    assert not np.array_equal(peer.score_B, peer.calibrated_score_B)
    (threshold,), (anomaly_B,) = peer.thresholds, peer.anomaly_B
    assert threshold.calibration_rows == 180
    np.testing.assert_array_equal(anomaly_B, peer.calibrated_score_B > threshold.value)
    assert peer.bundle_bytes is None


def test_peers_of_a_series_get_the_windows_that_our_detector_gets(tmp_path: Path) -> None:
    series = read(make_case(tmp_path / "rig" / "case", series=True))
    windowed = ("split=chronological", "window.length=5")
    longer = run(method(*windowed, peer="t2_ledoit_wolf"), series)
    single = run(method("split=chronological", peer="t2_ledoit_wolf"), series)
    assert len(longer.score_B) == len(single.score_B) == len(series.label_N)
    assert not np.allclose(longer.score_B, single.score_B)


@pytest.mark.parametrize("peer", [None, "t2_ledoit_wolf"])
def test_without_calibration_rows_the_threshold_of_everybody_is_cross_fitted(
    tmp_path: Path, peer: str | None
) -> None:
    series = read(make_case(tmp_path / "rig" / "case", series=True))
    all_rows = ("split.train=0.9", "split.validation=0", "split.calibration=0")
    own = ("window.length=5", "scorer=drift_distance", "threshold=blocks", "trainer=fast")
    fitted = run(
        method("split=chronological", *all_rows, *own, alphas=[0.2, 0.05], peer=peer), series
    )
    often, seldom = fitted.thresholds
    assert often.calibration_rows == 200 - 8 * 4
    assert often.details["blocks"] == seldom.details["blocks"] == 8
    assert often.value < seldom.value
    np.testing.assert_array_equal(fitted.score_B, fitted.calibrated_score_B)


@pytest.mark.parametrize("peer", [None, "t2_ledoit_wolf", "seed_autoencoder"])
@pytest.mark.parametrize("shape", [(33, 3), (60, 187)])
def test_few_rows_many_sensors_and_a_constant_one_can_be_judged(
    tmp_path: Path, peer: str | None, shape: tuple[int, int]
) -> None:
    rows, sensors = shape
    folder = tmp_path / "tables" / "case"
    few = read(make_case(folder, train_rows=rows, sensors=sensors, constant=True))
    judged = run(method(*FAST, alphas=[0.01], peer=peer), few)
    assert auroc(few.label_N, judged.score_B) > 0.6
    assert judged.thresholds[0].warning  # too few rows to promise 1 %


def test_too_few_rows_to_split_are_an_error(tmp_path: Path) -> None:
    few = read(make_case(tmp_path / "tables" / "case", train_rows=5))
    with pytest.raises(DataError, match="too few to split"):
        run(method(*FAST, peer="t2_ledoit_wolf"), few)
