"""The distance from where normal levels may wander."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.covariance import ledoit_wolf

from kizashi.runtime.scoring import DriftDistance, Rebuilt
from kizashi.runtime.scoring.drift import drift_per_step
from kizashi.runtime.windows import sliding_windows
from tests.scorers import rebuilt

FloatArray = npt.NDArray[np.float64]


def in_windows(rows_NF: FloatArray, length: int) -> Rebuilt:
    return rebuilt(np.asarray(sliding_windows(rows_NF, length), dtype=np.float64))


def wandering(rows: int, seed: int, step: float = 0.05) -> FloatArray:
    """Two sensors around one level that is a random walk, each with noise of its own."""
    rng = np.random.default_rng(seed)
    level_N1 = np.cumsum(rng.normal(0, step, rows))[:, None]
    rows_NF: FloatArray = level_N1 + rng.normal(0, 0.1, (rows, 2))
    return rows_NF


def level_distance(seen: FloatArray, new: FloatArray, length: int) -> FloatArray:
    """Hotelling's T² of window means, by the covariance of normal ones."""
    mean_NF = np.asarray(sliding_windows(seen, length)).mean(axis=1)
    step_BF = np.asarray(sliding_windows(new, length)).mean(axis=1) - mean_NF.mean(axis=0)
    inverse_FF = np.linalg.inv(np.cov(mean_NF, rowvar=False))
    distance_B: FloatArray = np.sqrt(np.einsum("bf,fg,bg->b", step_BF, inverse_FF, step_BF) / 2)
    return distance_B


@pytest.mark.parametrize(("rows", "sensors"), [(500, 3), (40, 20), (60, 1)])
def test_for_single_rows_it_is_hotellings_distance_under_the_shrunk_covariance(
    rows: int, sensors: int
) -> None:
    rng = np.random.default_rng(rows)
    mixing_FF = rng.normal(size=(sensors, sensors)) * 10.0 ** rng.uniform(-1, 1, sensors)
    seen_NF, new_NF = (rng.normal(size=(count, sensors)) @ mixing_FF for count in (rows, 50))
    unit_F = seen_NF.std(axis=0)
    covariance_FF, _ = ledoit_wolf((seen_NF - seen_NF.mean(axis=0)) / unit_F, assume_centered=True)
    step_BF = (new_NF - seen_NF.mean(axis=0)) / unit_F
    square_B = np.einsum("bf,fg,bg->b", step_BF, np.linalg.inv(covariance_FF), step_BF)
    scorer = DriftDistance().fit(rebuilt(seen_NF[:, None]))
    np.testing.assert_allclose(scorer.score(rebuilt(new_NF[:, None])), np.sqrt(square_B / sensors))


def test_where_levels_wander_their_continuation_scores_far_lower_than_under_a_fixed_mean() -> None:
    lower = []
    for seed in range(10):
        rows_NF = wandering(2400, seed)
        seen_NF, later_NF = rows_NF[:1200], rows_NF[1200:]
        scorer = DriftDistance().fit(in_windows(seen_NF, 8))
        alarm = np.quantile(scorer.score(in_windows(seen_NF, 8)), 0.99)
        alarms = (scorer.score(in_windows(later_NF, 8)) > alarm).mean()
        usual = np.quantile(level_distance(seen_NF, seen_NF, 8), 0.99)
        fixed = (level_distance(seen_NF, later_NF, 8) > usual).mean()
        lower.append((alarms, fixed))
    alarms, fixed = np.mean(lower, axis=0)
    assert alarms < 0.1
    assert fixed > 0.4


def test_a_relation_that_breaks_is_found_while_levels_wander() -> None:
    for seed in range(5):
        rows_NF = wandering(2400, seed)
        seen_NF, later_NF = rows_NF[:1200], rows_NF[1200:].copy()
        scorer = DriftDistance().fit(in_windows(seen_NF, 8))
        healthy_B = scorer.score(in_windows(later_NF, 8))
        later_NF[:, 1] += 1.0  # the level itself wanders further
        assert scorer.score(in_windows(later_NF, 8)).min() > np.quantile(healthy_B, 0.99)


def test_a_sensor_that_grows_restless_without_leaving_its_level_is_found() -> None:
    rng = np.random.default_rng(0)
    seen_NF, later_NF = rng.normal(0, 1, (2000, 3)), rng.normal(0, 1, (500, 3))
    scorer = DriftDistance().fit(in_windows(seen_NF, 20))
    usual_B = scorer.score(in_windows(later_NF, 20))
    later_NF[:, 1] *= 3
    score_B, share_BF = scorer.explain(in_windows(later_NF, 20))
    assert np.median(score_B) > 1.5 * np.quantile(usual_B, 0.99)
    assert (share_BF.argmax(axis=1) == 1).mean() > 0.95


@pytest.mark.parametrize("length", [2, 8])
def test_a_random_walk_has_its_steps_as_drift_and_noise_has_next_to_none(length: int) -> None:
    def of_means(rows_NF: FloatArray) -> FloatArray:
        mean_NF = np.asarray(sliding_windows(rows_NF, length)).mean(axis=1)
        return drift_per_step(mean_NF, length)

    walks = [of_means(wandering(4000, seed, step=0.2)) for seed in range(20)]
    np.testing.assert_allclose(np.mean(walks, axis=0), 0.04, rtol=0.35)
    noise = of_means(np.random.default_rng(0).normal(size=(4000, 2)))
    assert np.trace(noise) < 1e-3


@pytest.mark.parametrize("rows", [10, 33, 56])
def test_rows_that_are_too_few_to_see_drift_have_none(rows: int) -> None:
    feature_NV = np.cumsum(np.random.default_rng(0).normal(size=(rows, 2)), axis=0)
    assert not drift_per_step(feature_NV, 8).any()
    scorer = DriftDistance().fit(in_windows(feature_NV, 8))
    assert np.isfinite(scorer.score(in_windows(feature_NV, 8))).all()


def test_the_drift_of_many_features_never_makes_a_square_negative() -> None:
    rows_NF = np.random.default_rng(0).normal(size=(400, 30))
    assert np.linalg.eigvalsh(drift_per_step(rows_NF, 4)).min() > -1e-9
