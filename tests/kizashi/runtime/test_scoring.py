"""What holds for every scorer, and the scorers of the residual alone."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.covariance import ledoit_wolf

from kizashi.errors import BundleError, NotCalibrated
from kizashi.runtime.scoring import (
    SCORERS,
    MahalanobisError,
    Rebuilt,
    ReconstructionError,
    SensorRelations,
    StandardisedError,
    StateRarity,
    restore_scorer,
)
from kizashi.runtime.scoring.covariance import ledoit_wolf_covariance, whitening
from tests.scorers import rebuilt, unfitted

FloatArray = npt.NDArray[np.float64]

every_scorer = pytest.mark.parametrize("kind", SCORERS)
OF_SOME_DATA = (StateRarity, SensorRelations)
"""They say nothing of a few independent measurements."""
of_measurements = pytest.mark.parametrize(
    "kind", [kind for kind, scorer in SCORERS.items() if scorer not in OF_SOME_DATA]
)
of_the_residual = pytest.mark.parametrize(
    "kind", [ReconstructionError.kind, StandardisedError.kind, MahalanobisError.kind]
)
NEEDS_FIT = [kind for kind in SCORERS if kind != ReconstructionError.kind]


def residuals(windows: int = 400, length: int = 2, sensors: int = 3, seed: int = 0) -> FloatArray:
    """Correlated residuals of different size per sensor, with mean 0."""
    rng = np.random.default_rng(seed)
    mixing_FF = rng.normal(size=(sensors, sensors)) * 0.1 * 3.0 ** np.arange(sensors)
    residual_BTF: FloatArray = rng.normal(size=(windows, length, sensors)) @ mixing_FF
    residual_BTF -= residual_BTF.mean(axis=(0, 1))
    return residual_BTF


def members(windows: int = 300, length: int = 2, sensors: int = 3, seed: int = 0) -> Rebuilt:
    """Windows of correlated sensors, rebuilt by a network of two members, each a little off."""
    rng = np.random.default_rng(seed)
    scaled_BTF = rng.normal(size=(windows, length, 1)) + rng.normal(size=(windows, length, sensors))
    error_MBTF = 0.2 * rng.normal(size=(2, windows, length, sensors))
    return Rebuilt(scaled_BTF, scaled_BTF + error_MBTF)


@every_scorer
@pytest.mark.parametrize(("length", "sensors"), [(1, 1), (1, 3), (8, 3), (2, 60)])
def test_scores_are_at_least_0_and_shares_sum_to_1(kind: str, length: int, sensors: int) -> None:
    seen = members(300, length, sensors)
    scorer = unfitted(kind).fit(seen)
    score_B, share_BF = scorer.explain(seen)
    assert score_B.shape == (300,)
    assert share_BF.shape == (300, sensors)
    assert (score_B >= 0).all()
    assert (share_BF >= 0).all()
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)


@every_scorer
def test_explaining_gives_the_scores_of_scoring(kind: str) -> None:
    seen = members()
    scorer = unfitted(kind).fit(seen)
    np.testing.assert_allclose(scorer.explain(seen)[0], scorer.score(seen), rtol=1e-12)


@of_measurements
@pytest.mark.parametrize("sensor", [0, 1, 2])
def test_the_sensor_that_is_off_contributes_most(kind: str, sensor: int) -> None:
    rng = np.random.default_rng(0)
    scorer = unfitted(kind).fit(rebuilt(rng.normal(size=(1000, 1, 3))))
    residual_BTF = rng.normal(size=(20, 1, 3))
    residual_BTF[..., sensor] = 10.0
    assert (scorer.explain(rebuilt(residual_BTF))[1].argmax(axis=1) == sensor).all()


@every_scorer
def test_a_window_is_scored_alike_alone_and_among_others(kind: str) -> None:
    seen = members()
    scorer = unfitted(kind).fit(seen)
    score_B, share_BF = scorer.explain(seen)
    for number in range(20):
        one_B, one_BF = scorer.explain(seen[number : number + 1])
        np.testing.assert_allclose(one_B, score_B[number], rtol=1e-12)
        np.testing.assert_allclose(one_BF[0], share_BF[number], atol=1e-12)


@every_scorer
def test_no_windows_have_no_scores(kind: str) -> None:
    seen = members()
    score_B, share_BF = unfitted(kind).fit(seen).explain(seen[:0])
    assert score_B.shape == (0,)
    assert share_BF.shape == (0, 3)


@every_scorer
def test_a_stored_scorer_does_the_same(kind: str) -> None:
    seen = members()
    scorer = unfitted(kind).fit(seen)
    restored = restore_scorer(scorer.to_dict())
    assert type(restored) is type(scorer)
    assert np.array_equal(restored.score(seen), scorer.score(seen))
    assert np.array_equal(restored.explain(seen)[1], scorer.explain(seen)[1])


@every_scorer
def test_a_second_fit_forgets_the_first(kind: str) -> None:
    twice = unfitted(kind).fit(members(seed=5)).fit(members())
    once = unfitted(kind).fit(members())
    assert np.array_equal(twice.score(members(seed=6)), once.score(members(seed=6)))


@of_measurements
def test_a_sensor_that_never_moves_and_is_rebuilt_exactly_keeps_scores_finite(kind: str) -> None:
    residual_BTF = residuals()
    residual_BTF[..., 1] = 0.0
    scorer = unfitted(kind).fit(rebuilt(residual_BTF))
    residual_BTF[0, 0, 1] = 1e6
    score_B, share_BF = scorer.explain(rebuilt(residual_BTF))
    assert np.isfinite(score_B).all()
    assert np.isfinite(share_BF).all()
    assert score_B.argmax() == 0


@every_scorer
@pytest.mark.parametrize("windows", [1, 2, 3])
def test_a_scorer_that_has_seen_next_to_nothing_gives_finite_scores(
    kind: str, windows: int
) -> None:
    seen = members(windows)
    scorer = unfitted(kind).fit(seen)
    for score_B in (scorer.score(members()), scorer.score(seen), scorer.seen_scores(seen)):
        assert np.isfinite(score_B).all()


@pytest.mark.parametrize("kind", NEEDS_FIT)
def test_an_unfitted_scorer_says_so(kind: str) -> None:
    with pytest.raises(NotCalibrated, match=r"^the [a-z_]+ scorer has not been fitted$"):
        unfitted(kind).score(members(1))
    with pytest.raises(NotCalibrated, match=r"^the [a-z_]+ scorer has not been fitted$"):
        unfitted(kind).explain(members(1))


def test_an_unknown_kind_is_refused_with_those_known() -> None:
    with pytest.raises(BundleError, match=r"^scorer kind is 'builtins.eval'; known are "):
        restore_scorer({"kind": "builtins.eval"})


@of_the_residual
def test_a_larger_residual_has_a_higher_score_and_the_same_shares(kind: str) -> None:
    residual_BTF = residuals()
    scorer = unfitted(kind).fit(rebuilt(residual_BTF))
    small_B, small_BF = scorer.explain(rebuilt(residual_BTF[:50]))
    large_B, large_BF = scorer.explain(rebuilt(3 * residual_BTF[:50]))
    np.testing.assert_allclose(large_B, 3 * small_B)
    np.testing.assert_allclose(large_BF, small_BF, atol=1e-9)


@of_the_residual
def test_the_windows_themselves_do_not_matter_to_a_scorer_of_the_residual(kind: str) -> None:
    residual_BTF = residuals()
    scorer = unfitted(kind).fit(rebuilt(residual_BTF))
    elsewhere = rebuilt(residual_BTF, residuals(seed=3))
    np.testing.assert_allclose(scorer.score(elsewhere), scorer.score(rebuilt(residual_BTF)))


@of_the_residual
def test_a_residual_of_0_scores_0_and_is_shared_equally(kind: str) -> None:
    scorer = unfitted(kind).fit(rebuilt(residuals()))
    # Fitted scorers subtract the mean residual, which is 0 but for rounding.
    score_B, share_BF = scorer.explain(rebuilt(np.zeros((2, 2, 3))))
    np.testing.assert_allclose(score_B, 0, atol=1e-9)
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)
    if not score_B.any():
        np.testing.assert_allclose(share_BF, 1 / 3)


def test_the_plain_error_is_the_root_mean_square_of_the_residual() -> None:
    residual_BTF = np.array([[[3.0, 4.0]], [[0.0, 1.0]]])
    score_B, share_BF = ReconstructionError().explain(rebuilt(residual_BTF))
    np.testing.assert_allclose(score_B, [np.sqrt(12.5), np.sqrt(0.5)])
    np.testing.assert_allclose(share_BF, [[0.36, 0.64], [0.0, 1.0]])


@pytest.mark.parametrize("scorer", [ReconstructionError(), StandardisedError()])
def test_members_that_disagree_raise_the_error_above_that_of_their_mean(
    scorer: ReconstructionError | StandardisedError,
) -> None:
    scorer.fit(members())
    scaled_BTF = np.ones((1, 1, 3))
    agreed = Rebuilt(scaled_BTF, np.full((2, 1, 1, 3), 0.5))
    torn = Rebuilt(scaled_BTF, np.stack([np.zeros((1, 1, 3)), np.ones((1, 1, 3))]))
    assert scorer.score(torn)[0] > 1.2 * scorer.score(agreed)[0]


def test_standardising_makes_sensors_count_alike() -> None:
    residual_BTF = np.random.default_rng(0).normal(size=(5000, 1, 2)) * [0.01, 1.0]
    scorer = StandardisedError().fit(rebuilt(residual_BTF))
    share_BF = scorer.explain(rebuilt(residual_BTF))[1]
    np.testing.assert_allclose(share_BF.mean(axis=0), [0.5, 0.5], atol=0.01)


def test_the_mahalanobis_error_is_the_distance_under_the_shrunk_covariance() -> None:
    residual_BTF = residuals(length=1)
    residual_NF = residual_BTF[:, 0]
    deviation_F = residual_NF.std(axis=0)
    correlation_FF, _ = ledoit_wolf(residual_NF / deviation_F, assume_centered=True)
    standard_NF = residual_NF / deviation_F
    square_N = np.einsum("nf,fg,ng->n", standard_NF, np.linalg.inv(correlation_FF), standard_NF)
    score_B = MahalanobisError().fit(rebuilt(residual_BTF)).score(rebuilt(residual_BTF))
    np.testing.assert_allclose(score_B, np.sqrt(square_N / 3))


def test_errors_that_go_together_count_less_than_errors_that_do_not() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2000, 1, 1))
    scorer = MahalanobisError().fit(rebuilt(common + 0.1 * rng.normal(size=(2000, 1, 2))))
    together, apart = scorer.score(rebuilt(np.array([[[1.0, 1.0]], [[1.0, -1.0]]])))
    assert apart > 5 * together


@pytest.mark.parametrize(("rows", "sensors"), [(10, 3), (500, 3), (50, 60), (5, 1), (2000, 20)])
def test_the_shrunk_covariance_is_that_of_scikit_learn(rows: int, sensors: int) -> None:
    rng = np.random.default_rng(rows)
    rows_NF = rng.normal(size=(rows, sensors)) @ rng.normal(size=(sensors, sensors))
    rows_NF -= rows_NF.mean(axis=0)
    expected_FF, _ = ledoit_wolf(rows_NF, assume_centered=True)
    np.testing.assert_allclose(ledoit_wolf_covariance(rows_NF), expected_FF, rtol=1e-9)


def test_uncorrelated_sensors_of_equal_variance_are_shrunk_without_dividing_by_0() -> None:
    square_NF = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(ledoit_wolf_covariance(square_NF), np.eye(2))


@pytest.mark.parametrize("sensors", [1, 3, 20])
def test_whitened_rows_are_uncorrelated_with_variance_1_and_each_is_nearest_its_own_sensor(
    sensors: int,
) -> None:
    rng = np.random.default_rng(sensors)
    mixing_FF = rng.normal(size=(sensors, sensors)) * 10.0 ** rng.uniform(-3, 3, sensors)
    rows_NF = rng.normal(size=(5000, sensors)) @ (mixing_FF + np.diag(3 * np.diag(mixing_FF)))
    covariance_FF = np.cov(rows_NF, rowvar=False, ddof=0).reshape(sensors, sensors)
    white_NF = (rows_NF - rows_NF.mean(axis=0)) @ whitening(covariance_FF).T
    np.testing.assert_allclose(white_NF.T @ white_NF / 5000, np.eye(sensors), atol=1e-6)
    kinship_FF = np.corrcoef(white_NF, rows_NF, rowvar=False)[:sensors, sensors:]
    assert (kinship_FF.argmax(axis=0) == np.arange(sensors)).all()
