import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import InvalidRow
from kizashi.evaluation.metrics import false_alarm_band
from kizashi.runtime.bundle import IMPUTER, Bundle, load_bundle
from kizashi.runtime.detector import Detector
from kizashi.runtime.missing import (
    MOST_WINDOWS,
    SEVERAL_SENSORS,
    MissingValues,
    RankMap,
    missing_values,
)
from kizashi.runtime.network import OnnxNetwork
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle, press_line_rows
from tests.filling import filling_bundle

FloatArray = npt.NDArray[np.float64]
ALPHA = 0.05


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return filling_bundle(tmp_path_factory.mktemp("filling"), alpha=ALPHA)


@pytest.fixture(scope="module")
def detector(bundle: Bundle) -> Detector:
    return bundle.detector


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder = tmp_path_factory.mktemp("windowed")
    return filling_bundle(folder, alpha=ALPHA, window_length=4).detector


def without(sensors: list[int], windows_BTF: FloatArray) -> FloatArray:
    left_BTF = windows_BTF.copy()
    left_BTF[:, :, sensors] = np.nan
    return left_BTF


def fresh(count: int = 2000) -> FloatArray:
    return press_line_rows(count, seed=9)[:, None]


def in_band(detector: Detector, windows_BTF: FloatArray) -> bool:
    """Whether false alarms are as many as calibration and test rows lead to expect, 99.9 %."""
    alarms = int(np.sum(detector.score(windows_BTF) > detector.threshold.value))
    low, high = false_alarm_band(len(detector.calibration.scores), len(windows_BTF), ALPHA, 0.999)
    return bool(low <= alarms / len(windows_BTF) <= high)


def test_missing_values_are_found_and_whole_windows_pass() -> None:
    windows_BTF = np.array([[[1.0, -2.0]], [[np.nan, 3.0]]])
    assert missing_values(windows_BTF[:1]) is None
    found_BTF = missing_values(windows_BTF)
    assert found_BTF is not None
    assert found_BTF.tolist() == [[[False, False]], [[True, False]]]


def test_values_too_large_for_their_square_are_not_missing() -> None:
    assert missing_values(np.array([[[1e300, -1e300]]])) is None


@pytest.mark.parametrize("sensors", [[0], [1], [2], [0, 1], [0, 2], [1, 2]])
def test_the_false_alarm_rate_holds_whichever_sensors_are_missing(
    detector: Detector, sensors: list[int]
) -> None:
    assert in_band(detector, fresh())
    assert in_band(detector, without(sensors, fresh()))


def test_untranslated_scores_would_break_it(detector: Detector) -> None:
    """What the translation is there for."""
    left_BTF = without([1, 2], fresh())
    untranslated_B = detector.scorer.score(detector.rebuild(left_BTF))
    low, high = false_alarm_band(1500, len(left_BTF), ALPHA, 0.999)
    assert not low <= np.mean(untranslated_B > detector.threshold.value) <= high


def test_the_false_alarm_rate_holds_after_cross_fitting(tmp_path: Path) -> None:
    detector = filling_bundle(tmp_path, alpha=ALPHA, calibration=0).detector
    assert detector.missing is not None
    assert detector.missing.seen
    for sensors in ([0], [1], [2]):
        assert in_band(detector, without(sensors, fresh()))


def test_the_false_alarm_rate_holds_in_windows(windowed: Detector) -> None:
    rows_NF = press_line_rows(8000, seed=9)
    windows_BTF = rows_NF.reshape(-1, 4, 3)
    one_gap_BTF = windows_BTF.copy()
    one_gap_BTF[:, 2, 1] = np.nan
    for left_BTF in (one_gap_BTF, without([0], windows_BTF)):
        assert in_band(windowed, left_BTF)


def test_p_values_of_normal_rows_are_even_whatever_is_missing(detector: Detector) -> None:
    p_value_B = detector.judge(without([1], fresh())).p_value_B
    shares = [float(np.mean(p_value_B <= level)) for level in (0.1, 0.25, 0.5, 0.75)]
    assert np.allclose(shares, [0.1, 0.25, 0.5, 0.75], atol=0.05)


def test_an_anomaly_is_found_without_one_of_its_sensors(detector: Detector) -> None:
    verdicts = detector.judge(without([1], np.array([[NORMAL_ROW], [ANOMALOUS_ROW]])))
    assert verdicts.anomaly_B.tolist() == [False, True]


def test_what_is_missing_is_expected_where_the_other_sensors_say(detector: Detector) -> None:
    verdicts = detector.judge(without([2], fresh(200)))
    assert np.abs(verdicts.expected_BF[:, 2] - fresh(200)[:, 0, 2]).mean() < 0.06


def test_a_sensor_that_is_missing_is_to_blame_for_nothing(
    detector: Detector, windowed: Detector
) -> None:
    for each in (detector, windowed):
        length = each.contract.window_length
        windows_BTF = np.tile(np.array([NORMAL_ROW, ANOMALOUS_ROW])[:, None], (1, length, 1))
        verdicts = each.judge(without([1], windows_BTF))
        assert verdicts.contribution_BF[:, 1].tolist() == [0.0, 0.0]
        assert np.allclose(verdicts.contribution_BF.sum(axis=1), 1)
        assert verdicts.missing_BF.tolist() == [[0, length, 0]] * 2


def test_a_sensor_with_a_gap_is_still_to_blame_for_its_other_rows(windowed: Detector) -> None:
    window_TF = np.tile(NORMAL_ROW, (4, 1))
    window_TF[:3, 1] = 9.0
    window_TF[3, 1] = np.nan
    verdicts = windowed.judge(window_TF[None])
    assert verdicts.contribution_BF[0].argmax() == 1
    assert verdicts.missing_BF.tolist() == [[0, 1, 0]]


def test_a_window_is_scored_alike_alone_and_among_others(detector: Detector) -> None:
    some_BTF = np.concatenate([fresh(3), without([0], fresh(3)), without([1, 2], fresh(3))])
    alone = [float(detector.score(window[None])[0]) for window in some_BTF]
    assert np.allclose(detector.score(some_BTF), alone, rtol=1e-5)
    assert np.allclose(detector.judge(some_BTF).score_B, alone, rtol=1e-5)


def test_whole_windows_score_as_without_anything_that_fills_in(detector: Detector) -> None:
    bare = replace(detector, missing=None)
    assert np.array_equal(bare.score(fresh(50)), detector.score(fresh(50)))


def test_a_reading_beyond_its_limits_is_an_anomaly_beside_a_missing_one(detector: Detector) -> None:
    verdicts = detector.judge(np.array([[[25.0, np.nan, 1.1]]]))
    assert verdicts.anomaly_B.tolist() == [True]
    assert verdicts.out_of_range_BF.tolist() == [[True, False, False]]


def test_a_detector_that_fills_nothing_in_refuses_and_says_so(tmp_path: Path) -> None:
    detector = press_line_bundle(tmp_path).detector
    assert detector.contract.missing == "reject"
    with pytest.raises(InvalidRow, match="sensor 'current' is missing, and this model fills noth"):
        detector.score(without([1], fresh(2)))


def test_a_contract_that_rejects_missing_values_trains_nothing_to_fill_them(tmp_path: Path) -> None:
    bundle = filling_bundle(tmp_path, missing="reject")
    assert bundle.detector.missing is None
    assert not (tmp_path / IMPUTER).exists()


def test_a_bundle_brings_back_what_fills_in(bundle: Bundle) -> None:
    left_BTF = without([0], fresh(20))
    loaded = load_bundle(bundle.folder)
    assert np.array_equal(loaded.detector.score(left_BTF), bundle.detector.score(left_BTF))


def test_the_same_rows_and_seed_give_the_same_bundle_with_what_fills_in(
    bundle: Bundle, tmp_path: Path
) -> None:
    assert filling_bundle(tmp_path, alpha=ALPHA).hash == bundle.hash


def test_few_windows_are_kept_of_many_and_of_wide_ones(detector: Detector) -> None:
    assert detector.missing is not None
    imputer: OnnxNetwork = detector.missing.imputer
    narrow, wide = np.zeros((5000, 1, 3)), np.zeros((5000, 1, 3000))
    assert len(MissingValues(imputer, narrow).scaled) == MOST_WINDOWS
    assert len(MissingValues(imputer, wide).scaled) == 200
    assert MOST_WINDOWS // SEVERAL_SENSORS >= 200


def test_new_windows_take_the_place_of_old_ones_or_join_them(detector: Detector) -> None:
    old = detector.missing
    assert old is not None
    new_KTF = np.full((300, 1, 3), 0.25)
    assert np.array_equal(old.recalibrated(new_KTF, keep=False).scaled, new_KTF)
    assert len(old.recalibrated(new_KTF, keep=True).scaled) == 1500 + 300
    learned = MissingValues(old.imputer, old.scaled, seen=True)
    assert np.array_equal(learned.recalibrated(new_KTF, keep=True).scaled, new_KTF)


def test_a_score_takes_the_place_of_the_score_with_its_rank() -> None:
    ranks = RankMap(np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 30.0]))
    asked = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0])
    assert ranks(asked).tolist() == [5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 60.0]


def test_of_equal_scores_the_lowest_rank_counts() -> None:
    ranks = RankMap(np.array([1.0, 2.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert ranks(np.array([2.0, math.nextafter(2.0, 3.0)])) == pytest.approx([2.0, 4.0])


def test_scores_keep_their_order_even_where_all_kept_ones_are_equal_or_0() -> None:
    for known in ([0.0, 0.0, 0.0], [2.0, 2.0, 2.0], [0.0, 0.0, 1.0], [3.0]):
        ranks = RankMap(np.array(known), np.linspace(1, 2, len(known)))
        mapped = ranks(np.linspace(0, 5, 50))
        assert np.isfinite(mapped).all()
        assert (np.diff(mapped) >= 0).all()
