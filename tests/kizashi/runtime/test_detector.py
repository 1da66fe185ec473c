from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.errors import DataError, UnusableScore
from kizashi.runtime import detector as detector_module
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from kizashi.runtime.network import OnnxNetwork
from tests.bundles import (
    ANOMALOUS_ROW,
    NORMAL_ROW,
    press_line_bundle,
    press_line_rows,
    projection_network,
)

LARGEST = float(np.finfo(np.float64).max)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("press-line"))


@pytest.fixture(scope="module")
def detector(bundle: Bundle) -> Detector:
    return bundle.detector


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("windowed"), window_length=4).detector


def test_a_normal_row_is_normal_and_one_off_the_line_is_an_anomaly(detector: Detector) -> None:
    verdicts = detector.judge(np.array([[NORMAL_ROW], [ANOMALOUS_ROW]]))
    assert verdicts.anomaly_B.tolist() == [False, True]
    assert verdicts.score_B[1] > detector.threshold.value > verdicts.score_B[0]
    assert verdicts.p_value_B[1] < verdicts.p_value_B[0]
    assert verdicts.severity_B[1] > verdicts.severity_B[0]


def test_judging_scoring_and_deciding_agree(detector: Detector) -> None:
    windows_BTF = detector.windows(press_line_rows(300, seed=5))
    verdicts = detector.judge(windows_BTF)
    np.testing.assert_allclose(verdicts.score_B, detector.score(windows_BTF), rtol=1e-12)
    assert np.array_equal(verdicts.anomaly_B, detector.decide(windows_BTF, verdicts.score_B))
    assert np.array_equal(verdicts.p_value_B, detector.calibration.p_value(verdicts.score_B))


def test_the_expected_row_is_in_original_units(detector: Detector) -> None:
    windows_BTF = detector.windows(press_line_rows(100, seed=6))
    expected_BF = detector.judge(windows_BTF).expected_BF
    np.testing.assert_allclose(expected_BF, windows_BTF[:, -1], atol=0.1)
    assert np.array_equal(detector.expected(windows_BTF), expected_BF)


def test_a_score_at_the_threshold_is_still_normal_however_it_is_rounded(
    detector: Detector,
) -> None:
    value = detector.threshold.value
    windows_BTF = np.array([[NORMAL_ROW]] * 3)
    scores = np.array([value, np.nextafter(value, np.inf), value * 1.0001])
    assert detector.decide(windows_BTF, scores).tolist() == [False, False, True]


@pytest.mark.parametrize(("value", "beyond"), [(20.0, False), (20.1, True), (-0.1, True)])
def test_a_reading_beyond_the_instrument_is_an_anomaly_whatever_its_score(
    detector: Detector, value: float, beyond: bool
) -> None:
    windows_BTF = np.array([[[value, 1.0, 1.0]]])
    verdicts = detector.judge(windows_BTF)
    assert verdicts.out_of_range_BF.tolist() == [[beyond, False, False]]
    assert detector.decide(windows_BTF, np.array([0.0])).tolist() == [beyond]


def test_a_reading_beyond_the_instrument_counts_anywhere_in_the_window(windowed: Detector) -> None:
    windows_BTF = np.tile(NORMAL_ROW, (1, 4, 1)).reshape(1, 4, 3)
    windows_BTF[0, 1, 2] = -1.0
    verdicts = windowed.judge(windows_BTF)
    assert verdicts.out_of_range_BF.tolist() == [[False, False, True]]
    assert verdicts.anomaly_B.tolist() == [True]


readings = st.floats(-LARGEST, LARGEST, allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(st.lists(readings, min_size=3, max_size=3))
def test_every_finite_row_gets_a_finite_verdict(detector: Detector, row: list[float]) -> None:
    verdicts = detector.judge(np.array([[row]]))
    for name in ("score_B", "p_value_B", "severity_B", "contribution_BF", "expected_BF"):
        assert np.isfinite(getattr(verdicts, name)).all(), name
    assert verdicts.contribution_BF.sum() == pytest.approx(1)
    assert 0 <= verdicts.severity_B[0] <= 1


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, 1e300, 5e-324])
def test_the_most_extreme_readings_are_scored(detector: Detector, value: float) -> None:
    verdicts = detector.judge(np.array([[[value, *NORMAL_ROW[1:]]]]))
    assert np.isfinite(verdicts.score_B).all()
    assert verdicts.anomaly_B.tolist() == [True]


def test_pieces_give_the_scores_of_the_whole(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_BTF = detector.windows(press_line_rows(50, seed=7))
    whole = detector.judge(windows_BTF)
    monkeypatch.setattr(detector_module, "WINDOWS_AT_ONCE", 7)
    np.testing.assert_allclose(detector.score(windows_BTF), whole.score_B, rtol=1e-5)
    pieces = detector.judge(windows_BTF)
    np.testing.assert_allclose(pieces.score_B, whole.score_B, rtol=1e-5)
    np.testing.assert_allclose(pieces.expected_BF, whole.expected_BF, rtol=1e-5)


class SizesSeen:
    """A real network that remembers how many windows came at once."""

    def __init__(self, network: OnnxNetwork) -> None:
        self._network, self.sizes = network, list[int]()

    def reconstruct(self, windows_BTF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.sizes.append(len(windows_BTF))
        return self._network.reconstruct(windows_BTF)


def test_pieces_of_long_windows_are_bounded_by_their_values(
    windowed: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_module, "VALUES_AT_ONCE", 4 * 3 * 5 + 1)
    seen = SizesSeen(OnnxNetwork(projection_network(np.eye(3))))
    detector = replace(windowed, network=seen)
    windows_BTF = detector.windows(press_line_rows(15))  # 12 windows of 4 rows of 3 sensors
    detector.score(windows_BTF)
    detector.judge(windows_BTF)
    detector_module.rebuild(detector.scaler, seen, windows_BTF)
    assert seen.sizes == [5, 5, 2] * 3


def test_a_window_beyond_the_bound_is_scored_alone(
    windowed: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_module, "VALUES_AT_ONCE", 1)
    windows_BTF = windowed.windows(press_line_rows(6))
    assert windowed.score(windows_BTF).shape == (3,)


@pytest.mark.parametrize(("weight", "shown"), [(np.nan, "nan"), (np.inf, "inf")])
def test_a_score_that_is_not_finite_is_an_error_and_never_normal(
    detector: Detector, weight: float, shown: str
) -> None:
    broken = replace(detector, network=OnnxNetwork(projection_network(np.full((3, 3), weight))))
    windows_BTF = np.array([[[2.0, 2.0, 2.0]]])
    message = f"^the model scored {shown}; a finite number is needed$"
    with pytest.raises(UnusableScore, match=message):
        broken.score(windows_BTF)
    with pytest.raises(UnusableScore, match=message):
        broken.judge(windows_BTF)


def test_no_windows_have_no_verdicts(detector: Detector) -> None:
    verdicts = detector.judge(np.empty((0, 1, 3)))
    assert verdicts.score_B.shape == (0,)
    assert verdicts.contribution_BF.shape == (0, 3)
    assert detector.score(np.empty((0, 1, 3))).shape == (0,)


def test_rows_become_the_detectors_windows(windowed: Detector) -> None:
    assert windowed.windows(press_line_rows(10)).shape == (7, 4, 3)
    with pytest.raises(DataError, match=r"^3 rows came; one window needs 4$"):
        windowed.windows(press_line_rows(3))


def test_judging_leaves_the_windows_as_they_were(detector: Detector) -> None:
    windows_BTF = np.array([[[1e300, -1e300, 1.0]]])
    detector.judge(windows_BTF)
    assert windows_BTF.tolist() == [[[1e300, -1e300, 1.0]]]
