import numpy as np
import numpy.typing as npt
import pytest
from sklearn.covariance import ledoit_wolf

from kizashi.errors import BundleError, NotCalibrated
from kizashi.runtime.scoring import (
    SCORERS,
    MahalanobisError,
    ReconstructionError,
    Scorer,
    StandardisedError,
    ledoit_wolf_covariance,
)

FloatArray = npt.NDArray[np.float64]

every_scorer = pytest.mark.parametrize("kind", SCORERS)
NEEDS_FIT = [kind for kind in SCORERS if kind != ReconstructionError.kind]


def residuals(windows: int = 400, length: int = 2, sensors: int = 3, seed: int = 0) -> FloatArray:
    """Correlated residuals of different size per sensor, with mean 0."""
    rng = np.random.default_rng(seed)
    mixing_FF = rng.normal(size=(sensors, sensors)) * 0.1 * 3.0 ** np.arange(sensors)
    residual_BTF: FloatArray = rng.normal(size=(windows, length, sensors)) @ mixing_FF
    residual_BTF -= residual_BTF.mean(axis=(0, 1))
    return residual_BTF


@every_scorer
@pytest.mark.parametrize(("length", "sensors"), [(1, 1), (1, 3), (8, 3), (2, 60)])
def test_scores_are_at_least_0_and_contributions_sum_to_1(
    kind: str, length: int, sensors: int
) -> None:
    residual_BTF = residuals(300, length, sensors)
    scorer = SCORERS[kind]().fit(residual_BTF)
    score_B, share_BF = scorer.score(residual_BTF), scorer.contributions(residual_BTF)
    assert score_B.shape == (300,)
    assert share_BF.shape == (300, sensors)
    assert (score_B >= 0).all()
    assert (share_BF >= 0).all()
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)


@every_scorer
def test_a_larger_residual_has_a_higher_score_and_the_same_contributions(kind: str) -> None:
    residual_BTF = residuals()
    scorer = SCORERS[kind]().fit(residual_BTF)
    small_BTF, large_BTF = residual_BTF[:50], 3 * residual_BTF[:50]
    np.testing.assert_allclose(scorer.score(large_BTF), 3 * scorer.score(small_BTF))
    np.testing.assert_allclose(
        scorer.contributions(large_BTF), scorer.contributions(small_BTF), atol=1e-9
    )


@every_scorer
@pytest.mark.parametrize("sensor", [0, 1, 2])
def test_the_sensor_that_is_off_contributes_most(kind: str, sensor: int) -> None:
    rng = np.random.default_rng(0)
    scorer = SCORERS[kind]().fit(rng.normal(size=(1000, 1, 3)))
    residual_BTF = rng.normal(size=(20, 1, 3))
    residual_BTF[..., sensor] = 10.0
    assert (scorer.contributions(residual_BTF).argmax(axis=1) == sensor).all()


@every_scorer
def test_a_residual_of_0_scores_0_and_is_shared_equally(kind: str) -> None:
    residual_BTF = residuals()
    scorer = SCORERS[kind]().fit(residual_BTF)
    zero_BTF = np.zeros((2, 2, 3))
    # Fitted scorers subtract the mean residual, which is 0 but for rounding.
    np.testing.assert_allclose(scorer.score(zero_BTF), 0, atol=1e-9)
    share_BF = scorer.contributions(zero_BTF)
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)
    if not scorer.score(zero_BTF).any():
        np.testing.assert_allclose(share_BF, 1 / 3)


@every_scorer
def test_a_window_is_scored_alike_alone_and_among_others(kind: str) -> None:
    residual_BTF = residuals()
    scorer = SCORERS[kind]().fit(residual_BTF)
    alone = [scorer.score(residual_BTF[number : number + 1])[0] for number in range(20)]
    np.testing.assert_allclose(alone, scorer.score(residual_BTF)[:20], rtol=1e-12)


@every_scorer
def test_a_stored_scorer_does_the_same(kind: str) -> None:
    residual_BTF = residuals()
    scorer = SCORERS[kind]().fit(residual_BTF)
    restored = Scorer.from_dict(scorer.to_dict())
    assert type(restored) is type(scorer)
    assert np.array_equal(restored.score(residual_BTF), scorer.score(residual_BTF))
    assert np.array_equal(restored.contributions(residual_BTF), scorer.contributions(residual_BTF))


@every_scorer
def test_a_sensor_that_is_always_rebuilt_exactly_keeps_scores_finite(kind: str) -> None:
    residual_BTF = residuals()
    residual_BTF[..., 1] = 0.0
    scorer = SCORERS[kind]().fit(residual_BTF)
    residual_BTF[0, 0, 1] = 1e6
    assert np.isfinite(scorer.score(residual_BTF)).all()
    assert np.isfinite(scorer.contributions(residual_BTF)).all()
    assert scorer.score(residual_BTF).argmax() == 0


@pytest.mark.parametrize("kind", NEEDS_FIT)
def test_an_unfitted_scorer_says_so(kind: str) -> None:
    with pytest.raises(NotCalibrated, match=f"^the {kind} scorer has not been fitted$"):
        SCORERS[kind]().score(np.zeros((1, 1, 3)))


def test_an_unknown_kind_is_refused_with_those_known() -> None:
    with pytest.raises(BundleError, match=r"^scorer kind is 'builtins.eval'; known are "):
        Scorer.from_dict({"kind": "builtins.eval"})


def test_the_plain_error_is_the_root_mean_square_of_the_residual() -> None:
    residual_BTF = np.array([[[3.0, 4.0]], [[0.0, 1.0]]])
    scorer = ReconstructionError()
    np.testing.assert_allclose(scorer.score(residual_BTF), [np.sqrt(12.5), np.sqrt(0.5)])
    np.testing.assert_allclose(scorer.contributions(residual_BTF), [[0.36, 0.64], [0.0, 1.0]])


def test_standardising_makes_sensors_count_alike() -> None:
    residual_BTF = np.random.default_rng(0).normal(size=(5000, 1, 2)) * [0.01, 1.0]
    scorer = StandardisedError().fit(residual_BTF)
    np.testing.assert_allclose(
        scorer.contributions(residual_BTF).mean(axis=0), [0.5, 0.5], atol=0.01
    )


def test_the_mahalanobis_error_is_the_distance_under_the_shrunk_covariance() -> None:
    residual_BTF = residuals(length=1)
    residual_NF = residual_BTF[:, 0]
    deviation_F = residual_NF.std(axis=0)
    correlation_FF, _ = ledoit_wolf(residual_NF / deviation_F, assume_centered=True)
    standard_NF = residual_NF / deviation_F
    square_N = np.einsum("nf,fg,ng->n", standard_NF, np.linalg.inv(correlation_FF), standard_NF)
    score_B = MahalanobisError().fit(residual_BTF).score(residual_BTF)
    np.testing.assert_allclose(score_B, np.sqrt(square_N / 3))


def test_errors_that_go_together_count_less_than_errors_that_do_not() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2000, 1, 1))
    residual_BTF = common + 0.1 * rng.normal(size=(2000, 1, 2))
    scorer = MahalanobisError().fit(residual_BTF)
    together, apart = scorer.score(np.array([[[1.0, 1.0]], [[1.0, -1.0]]]))
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
