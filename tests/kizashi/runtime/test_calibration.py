import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizashi.errors import DataError
from kizashi.runtime.calibration import Calibration, ExponentialTail
from kizashi.runtime.thresholds import ConformalThreshold

positive_scores = st.lists(st.floats(0, 1e3), min_size=1, max_size=300)


def test_p_values_are_those_counted_by_hand() -> None:
    calibration = Calibration([3.0, 1.0, 2.0, 2.0])
    score_B = np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    expected = np.array([5, 5, 4, 4, 2, 2, 1]) / 5
    np.testing.assert_allclose(calibration.p_value(score_B), expected)


@given(positive_scores, st.lists(st.floats(0, 2e3), min_size=1, max_size=50))
def test_a_p_value_is_the_share_at_least_as_large_with_the_plus_1(
    scores: list[float], new: list[float]
) -> None:
    p_value_B = Calibration(scores).p_value(np.array(new))
    counted = [(1 + sum(score >= value for score in scores)) / (len(scores) + 1) for value in new]
    np.testing.assert_allclose(p_value_B, counted)


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=400),
    st.floats(0.002, 0.9),
    st.lists(st.floats(0, 120), max_size=20),
)
def test_the_threshold_and_the_p_value_agree(
    scores: list[float], alpha: float, new: list[float]
) -> None:
    threshold = ConformalThreshold(alpha).fit(np.array(scores))
    if threshold.warning:
        return  # too few rows: no conformal threshold to agree with
    # Calibration scores themselves are the ties that could tell the two rules apart.
    score_B = np.array(new + scores)
    p_value_B = Calibration(scores).p_value(score_B)
    assert np.array_equal(score_B > threshold.value, p_value_B <= alpha + 1e-9)


@given(positive_scores, st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_severity_never_falls_as_the_score_rises_and_stays_within_0_and_1(
    scores: list[float], new: list[float]
) -> None:
    ordered_B = np.sort(np.array(new + scores))
    severity_B = Calibration(scores).severity(ordered_B)
    assert np.isfinite(severity_B).all()
    assert (severity_B >= 0).all()
    assert (severity_B <= 1).all()
    assert (np.diff(severity_B) >= -1e-12).all()


@given(st.integers(20, 2000), st.floats(0.01, 100))
def test_severity_still_grows_beyond_the_largest_calibration_score(rows: int, unit: float) -> None:
    scores = unit * np.random.default_rng(rows).exponential(size=rows)
    beyond_B = scores.max() + unit * np.array([0.0, 1.0, 10.0, 100.0])
    severity_B = Calibration(scores).severity(beyond_B)
    assert (np.diff(severity_B) > 0).all()
    assert severity_B[-1] < 1


def test_severity_does_not_depend_on_the_unit_of_the_score() -> None:
    scores = np.random.default_rng(0).exponential(size=500)
    score_B = np.linspace(0, 30, 50)
    np.testing.assert_allclose(
        Calibration(scores).severity(score_B), Calibration(scores * 8).severity(score_B * 8)
    )


def test_one_normal_window_in_a_thousand_has_about_severity_one_half() -> None:
    scores = np.random.default_rng(0).exponential(size=100_000)
    (severity,) = Calibration(scores).severity(np.log([1000.0]))
    assert severity == pytest.approx(0.5, abs=0.02)


def test_the_smallest_normal_score_has_severity_0() -> None:
    (severity,) = Calibration([1.0, 2.0, 3.0]).severity(np.array([0.0]))
    assert severity == 0


@pytest.mark.parametrize("scores", [[1.0], [0.0, 0.0, 0.0], [5.0] * 50])
def test_calibration_scores_that_are_all_equal_are_no_trouble(scores: list[float]) -> None:
    calibration = Calibration(scores)
    severity_B = calibration.severity(np.array([0.0, scores[0], scores[0] + 1, 1e9]))
    assert np.isfinite(severity_B).all()
    assert severity_B[-1] > severity_B[0]


def test_calibration_needs_scores() -> None:
    with pytest.raises(DataError, match=r"^there are no calibration rows"):
        Calibration([])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_calibration_score_that_is_not_finite_is_refused(broken: float) -> None:
    with pytest.raises(DataError, match=r"^a calibration score is not finite"):
        Calibration([1.0, broken])


def test_calibration_scores_keep_their_order_of_time_and_their_source_is_untouched() -> None:
    scores = np.array([2.0, 3.0, 1.0])
    calibration = Calibration(scores)
    assert calibration.scores.tolist() == [2.0, 3.0, 1.0]
    assert calibration.p_value(np.array([2.5])).tolist() == [0.5]
    assert scores.tolist() == [2.0, 3.0, 1.0]


def test_the_tail_of_exponential_scores_is_found_again() -> None:
    scores = 2.0 * np.random.default_rng(0).exponential(size=200_000)
    tail = ExponentialTail(scores)
    assert tail.scale == pytest.approx(2.0, rel=0.03)
    assert tail.quantile(1e-5) == pytest.approx(2.0 * np.log(1e5), rel=0.03)


@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=100), st.floats(1e-9, 0.01))
def test_the_tails_quantile_and_survival_are_inverse(scores: list[float], rate: float) -> None:
    tail = ExponentialTail(np.array(scores))
    survival = tail.log10_survival(np.array([tail.quantile(rate)]))
    # Where all scores are equal the tail is as thin as rounding allows.
    tolerance = 1e-4 if tail.scale > 1e-6 * max(1.0, tail.start) else 1.0
    np.testing.assert_allclose(survival, np.log10(rate), rtol=tolerance)


@pytest.mark.parametrize("blocks", [(2,), (2, 2), (3, 0)])
def test_blocks_that_are_not_those_of_the_scores_are_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"^there are 3 scores and blocks of \("):
        Calibration([1.0, 2.0, 3.0], blocks)
