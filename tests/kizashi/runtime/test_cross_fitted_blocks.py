"""Thresholds from scores of blocks that were left out of the fit in turn."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from kizashi.errors import DataError
from kizashi.runtime.thresholds import (
    AutoThreshold,
    BlocksThreshold,
    CalibrationScores,
    ConformalThreshold,
    Threshold,
)
from kizashi.runtime.thresholds.dependence import independent_rows
from kizashi.runtime.thresholds.predictive import PredictiveTail
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


def test_known_from_many_exceedances_the_tail_gives_the_plain_quantile_and_from_few_more() -> None:
    ordered = np.sort(np.exp(np.random.default_rng(4).exponential(0.3, 4000)))
    far, near = PredictiveTail(ordered, 1e9), PredictiveTail(ordered, 40)
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
