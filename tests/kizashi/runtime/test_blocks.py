import math

import numpy as np
import pytest
from scipy.stats import beta, norm

from kizashi.errors import ConfigurationError
from kizashi.runtime.thresholds import BlocksThreshold, CalibrationScores, ConformalThreshold
from kizashi.runtime.thresholds.dependence import (
    autocorrelation_time,
    dependence,
    rows_allowed_above,
)
from tests.scores import dependent


def in_time(scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> CalibrationScores:
    return CalibrationScores(scores, in_time=True)


@pytest.mark.parametrize("follows", [0.5, 0.9])
def test_the_autocorrelation_time_of_rows_with_a_known_one_is_found(follows: float) -> None:
    rng = np.random.default_rng(0)
    times = [autocorrelation_time(dependent(20_000, follows, rng)) for _ in range(5)]
    assert np.mean(times) == pytest.approx((1 + follows) / (1 - follows), rel=0.15)


def test_independent_rows_are_worth_about_their_number() -> None:
    rng = np.random.default_rng(1)
    lengths = [dependence(rng.exponential(size=1000), 0.01) for _ in range(50)]
    assert 1 <= np.median(lengths) < 1.15
    assert np.quantile(lengths, 0.9) < 1.5


def test_only_the_dependence_of_high_scores_counts() -> None:
    """As on a machine whose state moves slowly, while what exceeds its curve is noise."""
    rng = np.random.default_rng(6)
    scores = dependent(8000, 0.95, rng)
    scores[rng.random(8000) < 0.02] += 10
    assert autocorrelation_time(scores > np.median(scores)) > 10
    assert dependence(scores, 0.001) < 1.5
    assert dependence(scores, 0.05) > 4


def test_constant_and_few_scores_depend_on_nothing() -> None:
    assert dependence(np.ones(100), 0.01) == 1
    assert dependence(np.array([1.0, 2.0]), 0.01) == 1


@pytest.mark.parametrize(("rows", "alpha"), [(50, 0.1), (400, 0.05), (1000, 0.01), (5000, 0.001)])
def test_the_rows_allowed_above_are_the_most_that_the_beta_law_allows(
    rows: int, alpha: float
) -> None:
    allowed = rows_allowed_above(rows, alpha, 0.9)
    assert beta(allowed, rows + 1 - allowed).cdf(alpha) >= 0.9
    assert beta(allowed + 1, rows - allowed).cdf(alpha) < 0.9


def test_no_row_is_allowed_above_where_even_the_largest_is_no_threshold() -> None:
    needed = math.ceil(math.log(0.1) / math.log(0.99))
    assert rows_allowed_above(needed, 0.01, 0.9) == 1
    assert rows_allowed_above(needed - 1, 0.01, 0.9) == 0


@pytest.mark.parametrize(
    ("follows", "rows", "alpha"), [(0.5, 1000, 0.05), (0.9, 1000, 0.1), (0.9, 5000, 0.01)]
)
def test_dependent_rows_keep_the_rate_as_often_as_promised_where_conformal_does_not(
    follows: float, rows: int, alpha: float
) -> None:
    rng = np.random.default_rng(2)
    series = [dependent(rows, follows, rng) for _ in range(60)]
    kept = [norm.sf(BlocksThreshold(alpha).fit(in_time(one)).value) <= alpha for one in series]
    without = [norm.sf(ConformalThreshold(alpha).fit(one).value) <= alpha for one in series]
    assert np.mean(kept) >= 0.85  # 0.9 is promised; 60 series know it to 0.04
    assert np.mean(without) < 0.75


def test_more_confidence_or_more_dependence_gives_a_higher_threshold() -> None:
    scores = dependent(3000, 0.8, np.random.default_rng(3))
    values = [
        BlocksThreshold(0.05, confidence=0.6).fit(in_time(scores)).value,
        BlocksThreshold(0.05, confidence=0.99).fit(in_time(scores)).value,
    ]
    assert values[0] < values[1]
    shuffled = BlocksThreshold(0.05).fit(CalibrationScores(scores)).value
    assert shuffled < BlocksThreshold(0.05).fit(in_time(scores)).value


def test_what_is_promised_and_what_is_only_measured_is_said() -> None:
    scores = dependent(3000, 0.8, np.random.default_rng(4))
    threshold = BlocksThreshold(0.05).fit(in_time(scores))
    effective = threshold.details["effective_rows"]
    assert 200 < float(effective) < 1000
    assert threshold.guarantee.startswith("at most 5.0000% of normal rows with 90% confidence, as")
    assert f"from 3000 calibration rows worth {effective} independent ones" in threshold.guarantee
    assert threshold.warning == ""


def test_too_few_rows_in_effect_name_the_fallback_which_leaves_a_margin_too() -> None:
    rng = np.random.default_rng(5)
    fits = [BlocksThreshold(0.01).fit(in_time(dependent(400, 0.9, rng))) for _ in range(40)]
    assert all("needs at least 230 independent calibration rows" in fit.warning for fit in fits)
    assert all(fit.guarantee.startswith("none: exponential tail") for fit in fits)
    assert np.mean([norm.sf(fit.value) <= 0.01 for fit in fits]) >= 0.8


@pytest.mark.parametrize("confidence", [0.4, 1, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    message = f"^the confidence is {confidence!r}; a number from 0.5 and below 1 is needed$"
    with pytest.raises(ConfigurationError, match=message):
        BlocksThreshold(0.1, confidence=confidence)
