"""Thresholds from scores of blocks that were left out of the fit in turn."""

import math

import numpy as np
import pytest
from scipy.stats import gamma, norm

from kizashi.errors import DataError
from kizashi.runtime.thresholds import (
    AutoThreshold,
    BlocksThreshold,
    CalibrationScores,
    ConformalThreshold,
    Threshold,
)
from kizashi.runtime.thresholds.dependence import independent_rows
from kizashi.runtime.thresholds.sparse import SparseTail, lower_gamma_quantile
from tests.scores import FloatArray, dependent

BLOCKS = 8


def cross_fitted(scores: FloatArray, in_time: bool = True) -> CalibrationScores:
    return CalibrationScores(scores, in_time, blocks=(len(scores) // BLOCKS,) * BLOCKS)


def skewed(rows: int, follows: float, rng: np.random.Generator) -> FloatArray:
    """Positive scores whose logarithms are normal with deviation 0.4."""
    return np.exp(0.4 * dependent(rows, follows, rng))


def kept(threshold: Threshold) -> float:
    """The share of new scores of that law above the threshold."""
    return float(norm.sf(math.log(threshold.value) / 0.4))


@pytest.mark.parametrize(
    ("follows", "rows", "alpha"), [(0.0, 400, 0.05), (0.5, 400, 0.05), (0.9, 400, 0.05),
                                   (0.9, 400, 0.01), (0.5, 1600, 0.01)]
)  # fmt: skip
def test_over_many_calibrations_stationary_rows_keep_the_rate(
    follows: float, rows: int, alpha: float
) -> None:
    rng = np.random.default_rng(0)
    fits = [BlocksThreshold(alpha).fit(cross_fitted(skewed(rows, follows, rng))) for _ in range(80)]
    rate = np.mean([kept(fit) for fit in fits])
    assert 0.4 * alpha < rate < 1.1 * alpha


@pytest.mark.parametrize(
    ("follows", "rows", "alpha"), [(0.0, 400, 0.05), (0.5, 400, 0.05), (0.9, 400, 0.05),
                                   (0.9, 400, 0.01), (0.5, 1600, 0.01)]
)  # fmt: skip
def test_with_a_confidence_stationary_rows_keep_the_rate_that_often(
    follows: float, rows: int, alpha: float
) -> None:
    rng = np.random.default_rng(7)
    series = [cross_fitted(skewed(rows, follows, rng)) for _ in range(200)]

    def how_often(confidence: float | None) -> float:
        fits = [BlocksThreshold(alpha, confidence=confidence).fit(one) for one in series]
        return float(np.mean([kept(fit) <= alpha for fit in fits]))

    assert how_often(0.9) >= 0.85  # 0.86 to 0.99; what slow rows are worth is overstated somewhat
    assert how_often(None) < how_often(0.9)


def test_few_independent_rows_name_the_tail_that_stands_in_and_what_they_are_worth() -> None:
    scores = skewed(400, 0.9, np.random.default_rng(1))
    threshold = BlocksThreshold(0.01).fit(cross_fitted(scores))
    worth = threshold.details["effective_rows"]
    assert threshold.fell_back and 10 < float(worth) < 99
    assert threshold.warning == (
        "a conformal threshold at 1.0000% needs at least 99 independent calibration rows, and the "
        f"400 that follow one another are worth {worth}; the fallback 'Pareto tail, predictive' is "
        "used, without a guarantee"
    )
    assert threshold.guarantee.startswith("none: Pareto tail, predictive, with a margin")
    assert threshold.value > BlocksThreshold(0.05).fit(cross_fitted(scores)).value


def test_a_confidence_is_said_and_raises_the_limit_of_the_tail() -> None:
    scores = cross_fitted(skewed(400, 0.9, np.random.default_rng(1)))
    without, low, high = (
        BlocksThreshold(0.01, confidence=confidence).fit(scores) for confidence in (None, 0.8, 0.99)
    )
    assert without.value < low.value < high.value
    assert low.guarantee.startswith(
        "none: Pareto tail, upper limit with 80% confidence, with a margin for its estimate"
    )
    assert "1.0000% with 99% confidence needs at least 459 independent" in high.warning
    assert high.details["confidence"] == 0.99 and "confidence" not in without.details


def test_a_confidence_asks_for_a_higher_one_of_enough_scores() -> None:
    scores = skewed(1600, 0.5, np.random.default_rng(2))
    without = BlocksThreshold(0.05).fit(cross_fitted(scores))
    threshold = BlocksThreshold(0.05, confidence=0.95).fit(cross_fitted(scores))
    assert threshold.value in scores and threshold.value > without.value
    assert threshold.warning == ""
    assert threshold.guarantee.startswith(
        "none: at most 5.0000% of normal rows with 95% confidence, from 1600"
    )


@pytest.mark.parametrize("shape", [1.0, 1.7, 6.0, 300.0])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.001])
def test_the_quantiles_of_gamma_laws_are_those_of_scipy(share: float, shape: float) -> None:
    assert lower_gamma_quantile(share, shape) == pytest.approx(gamma.ppf(share, shape), rel=1e-9)


def test_with_enough_of_them_the_threshold_is_one_of_the_scores_and_nothing_is_promised() -> None:
    scores = skewed(1600, 0.5, np.random.default_rng(2))
    threshold = BlocksThreshold(0.05).fit(cross_fitted(scores))
    assert threshold.value in scores
    assert threshold.warning == ""
    assert threshold.guarantee.startswith("none: about 5.0000% of normal rows, from 1600")
    assert "as long as normal rows wander no further than those did" in threshold.guarantee
    assert not threshold.follows_rank_law


def test_what_differs_between_blocks_does_not_count_as_dependence() -> None:
    rng = np.random.default_rng(3)
    noise = [rng.normal(size=50) for _ in range(BLOCKS)]
    levels = [block + 100 * level for level, block in enumerate(noise)]
    assert independent_rows(noise) == pytest.approx(independent_rows(levels))
    assert independent_rows(noise) > 250
    assert independent_rows([np.ones(50)] * BLOCKS) == 1


def test_a_block_that_pauses_left_few_windows_hides_no_dependence() -> None:
    rng = np.random.default_rng(3)
    blocks = [dependent(60, 0.9, rng) for _ in range(BLOCKS)]
    worth = independent_rows(blocks)
    assert worth < 0.2 * BLOCKS * 60
    assert independent_rows([*blocks, dependent(2, 0.9, rng)]) == pytest.approx(worth, rel=0.05)


def test_known_from_many_exceedances_the_tail_gives_the_plain_quantile_and_from_few_more() -> None:
    ordered = np.sort(np.exp(np.random.default_rng(4).exponential(0.3, 4000)))
    far, near = SparseTail(ordered, 1e9), SparseTail(ordered, 40)
    assert math.log(far.quantile(0.001)) == pytest.approx(0.3 * math.log(1000), rel=0.05)
    assert near.quantile(0.001) > 1.1 * far.quantile(0.001)
    assert far.quantile(0.5) == pytest.approx(np.quantile(ordered, 0.8), rel=0.01)


def test_scores_down_to_zero_are_taken_without_logarithms() -> None:
    scores = np.maximum(dependent(400, 0.9, np.random.default_rng(5)), 0)
    threshold = BlocksThreshold(0.001).fit(cross_fitted(scores))
    assert threshold.details["fallback"] == "exponential tail, predictive"
    assert scores.max() < threshold.value < 100


def test_a_tail_that_says_nothing_is_still_a_number() -> None:
    scores = np.exp(np.repeat(np.arange(BLOCKS), 5) * 10.0)
    assert math.isfinite(BlocksThreshold(1e-9).fit(cross_fitted(scores)).value)


def test_blocks_of_rows_without_an_order_are_worth_their_number() -> None:
    scores = skewed(400, 0.9, np.random.default_rng(6))
    threshold = BlocksThreshold(0.05).fit(cross_fitted(scores, in_time=False))
    assert threshold.details["effective_rows"] == 400
    assert threshold.value == ConformalThreshold(0.05).fit(scores).value


def test_conformal_promises_nothing_exact_of_cross_fitted_scores() -> None:
    scores = np.random.default_rng(7).exponential(size=800)
    exact, about = (
        ConformalThreshold(0.05).fit(evidence)
        for evidence in (CalibrationScores(scores), cross_fitted(scores, in_time=False))
    )
    assert exact.value == about.value
    assert exact.follows_rank_law and not about.follows_rank_law
    assert about.guarantee == (
        "none: about 5.0000% of exchangeable normal rows, from 800 calibration rows in 8 blocks, "
        "each scored by a fit without it"
    )


def test_auto_takes_blocks_for_series_that_were_cross_fitted_and_a_rule_for_tables_else() -> None:
    scores = np.random.default_rng(8).exponential(size=800)
    series = AutoThreshold(0.05).fit(cross_fitted(scores))
    assert series.in_effect == "blocks"
    assert series.reason.endswith(
        "rows follow one another, and were scored by cross-fitting in blocks"
    )
    assert AutoThreshold(0.05).fit(cross_fitted(scores, in_time=False)).in_effect == "conformal"


def test_blocks_of_another_number_of_scores_are_refused() -> None:
    with pytest.raises(DataError, match="there are 10 scores and 9 in 3 blocks"):
        CalibrationScores(np.ones(10), blocks=(3, 3, 3))
