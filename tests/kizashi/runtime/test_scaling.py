import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import BundleError, NotCalibrated
from kizashi.runtime.scaling import (
    FURTHEST_SCALED,
    KNEE,
    SCALERS,
    CompressedScaler,
    MinMaxScaler,
    RobustScaler,
    Scaler,
    StandardScaler,
)
from tests.bundles import press_line_rows

every_scaler = pytest.mark.parametrize("kind", SCALERS)


@every_scaler
def test_inverse_undoes_transform(kind: str) -> None:
    rows_NF = press_line_rows(500)
    scaler = SCALERS[kind]().fit(rows_NF)
    scaled_NF = scaler.transform(rows_NF)
    assert not np.allclose(scaled_NF, rows_NF)
    np.testing.assert_allclose(scaler.inverse(scaled_NF), rows_NF, rtol=1e-12)


@every_scaler
def test_windows_are_scaled_as_their_rows_are(kind: str) -> None:
    rows_NF = press_line_rows(24)
    scaler = SCALERS[kind]().fit(rows_NF)
    windows_BTF = rows_NF.reshape(6, 4, 3)
    scaled_BTF = scaler.transform(windows_BTF)
    assert np.array_equal(scaled_BTF.reshape(24, 3), scaler.transform(rows_NF))


@every_scaler
def test_a_stored_scaler_does_the_same(kind: str) -> None:
    scaler = SCALERS[kind]().fit(press_line_rows(500))
    restored = Scaler.from_dict(scaler.to_dict())
    assert type(restored) is type(scaler)
    assert restored.to_dict().keys() == scaler.to_dict().keys()
    rows_NF = press_line_rows(20, seed=1)
    assert np.array_equal(restored.transform(rows_NF), scaler.transform(rows_NF))
    assert np.array_equal(restored.inverse(rows_NF), scaler.inverse(rows_NF))


@every_scaler
@pytest.mark.parametrize("level", [0.0, 0.1, -3.0, 1e9])
def test_leaving_the_level_of_a_constant_sensor_is_a_large_finite_step(
    kind: str, level: float
) -> None:
    scaler = SCALERS[kind]().fit(np.full((100, 1), level))
    np.testing.assert_allclose(scaler.transform(np.array([[level]])), 0, atol=1e-6)
    step = 0.1 * max(abs(level), 1.0)
    (scaled,) = scaler.transform(np.array([level + step]))
    assert 5 < scaled < 1000
    assert scaler.inverse(np.array([scaled])) == pytest.approx(level + step)


@every_scaler
def test_a_scaler_is_fitted_anew_by_a_second_fit(kind: str) -> None:
    scaler = SCALERS[kind]().fit(press_line_rows(100))
    other_NF = 50 + 7 * press_line_rows(100, seed=3)
    scaler.fit(other_NF)
    anew = SCALERS[kind]().fit(other_NF)
    assert np.array_equal(scaler.transform(other_NF), anew.transform(other_NF))


@every_scaler
def test_an_unfitted_scaler_says_so(kind: str) -> None:
    message = f"^the {kind} scaler has not been fitted$"
    with pytest.raises(NotCalibrated, match=message):
        SCALERS[kind]().transform(np.zeros((1, 3)))
    with pytest.raises(NotCalibrated, match=message):
        SCALERS[kind]().inverse(np.zeros((1, 3)))
    with pytest.raises(NotCalibrated, match=message):
        SCALERS[kind]().to_dict()


def test_an_unknown_kind_is_refused_with_those_known() -> None:
    with pytest.raises(BundleError, match=r"^scaler kind is 'os.system'; known are standard, "):
        Scaler.from_dict({"kind": "os.system"})


def test_standard_scaling_gives_mean_0_and_deviation_1() -> None:
    rows_NF = press_line_rows(1000)
    scaled_NF = StandardScaler().fit(rows_NF).transform(rows_NF)
    np.testing.assert_allclose(scaled_NF.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled_NF.std(axis=0), 1)


def test_minmax_scaling_puts_training_rows_within_0_and_1() -> None:
    rows_NF = press_line_rows(1000)
    scaled_NF = MinMaxScaler().fit(rows_NF).transform(rows_NF)
    np.testing.assert_allclose(scaled_NF.min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled_NF.max(axis=0), 1)


def test_robust_scaling_agrees_with_standard_on_gaussian_rows_and_ignores_outliers() -> None:
    rng = np.random.default_rng(0)
    rows_NF = rng.normal(5.0, 2.0, (20_000, 1))
    spoilt_NF = np.concatenate([rows_NF, np.full((100, 1), 1e6)])
    scaler = RobustScaler().fit(spoilt_NF)
    np.testing.assert_allclose(scaler.center_F, 5.0, rtol=0.02)
    np.testing.assert_allclose(scaler.spread_F, 2.0, rtol=0.03)


def test_robust_scaling_of_a_sensor_that_mostly_rests_uses_its_deviation() -> None:
    rows_NF = np.array([[0.0]] * 90 + [[10.0]] * 10)
    np.testing.assert_allclose(RobustScaler().fit(rows_NF).spread_F, rows_NF.std(axis=0))


def beyond(deviations: npt.ArrayLike) -> tuple[CompressedScaler, npt.NDArray[np.float64]]:
    """A scaler, and one row for each of these distances from its centre."""
    scaler = CompressedScaler().fit(press_line_rows(500))
    return scaler, scaler.center_F + np.asarray(deviations)[:, None] * scaler.spread_F


def test_compressed_scaling_is_that_of_standard_near_the_centre_and_logarithmic_far_out() -> None:
    scaler, row_NF = beyond([0.01, 300.0, 3000.0])
    near_F, far_F, farther_F = scaler.transform(row_NF)
    np.testing.assert_allclose(near_F, 0.01, rtol=1e-4)
    np.testing.assert_allclose(farther_F - far_F, KNEE * np.log(10), rtol=1e-2)


def test_compressed_values_come_back_from_a_million_deviations() -> None:
    scaler, row_NF = beyond(np.concatenate([-np.logspace(-6, 6, 50), np.logspace(-6, 6, 50)]))
    np.testing.assert_allclose(scaler.inverse(scaler.transform(row_NF)), row_NF, rtol=1e-9)


def test_a_compressed_value_is_the_larger_the_larger_the_reading() -> None:
    scaler, row_NF = beyond(np.concatenate([-np.logspace(300, -3, 500), np.logspace(-3, 300, 500)]))
    assert (np.diff(scaler.transform(row_NF), axis=0) > 0).all()


@pytest.mark.parametrize("reading", [np.finfo(np.float64).max, -1e308, 5e-324])
def test_the_most_extreme_readings_have_a_finite_compressed_value(reading: float) -> None:
    scaler = CompressedScaler().fit(np.random.default_rng(0).normal(size=(500, 1)))
    assert np.isfinite(scaler.transform(np.array([[reading]]))).all()


@pytest.mark.parametrize("scaled", [1e3, -1e6, 1e30])
def test_whatever_a_network_makes_of_compressed_values_is_finite_in_original_units(
    scaled: float,
) -> None:
    scaler = CompressedScaler().fit(press_line_rows(500))
    back_F = scaler.inverse(np.full(3, scaled))
    assert np.isfinite(back_F).all()
    assert (np.sign(back_F) == np.sign(scaled)).all()


@every_scaler
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 1, 3), (1, 4, 3), (3,), (0, 1, 3)])
def test_finite_scaling_is_scaling_wherever_that_is_no_further_than_a_million(
    kind: str, shape: tuple[int, ...]
) -> None:
    scaler = SCALERS[kind]().fit(press_line_rows(500))
    values = np.random.default_rng(0).normal(0, 1e4, shape)
    scaled = scaler.transform_finite(values)
    assert scaled.shape == shape
    assert np.array_equal(scaled, scaler.transform(values))


@every_scaler
def test_finite_scaling_of_the_most_extreme_readings_is_finite_and_in_order(kind: str) -> None:
    largest = np.finfo(np.float64).max
    scaler = SCALERS[kind]().fit(press_line_rows(500))
    readings = np.array([-largest, -1e300, -1e9, 0.0, 1e9, 1e300, largest])
    scaled_NF = scaler.transform_finite(np.repeat(readings[:, None], 3, axis=1))
    assert np.isfinite(scaled_NF).all()
    assert (np.diff(scaled_NF, axis=0) >= 0).all()
    assert np.abs(scaled_NF).max() <= 1.001 * FURTHEST_SCALED


@every_scaler
@pytest.mark.parametrize("level", [1e300, -1.7e308, 1e-300])
def test_finite_scaling_overflows_at_no_level_that_a_sensor_may_have(
    kind: str, level: float
) -> None:
    stored = {"kind": kind, "center": [level] * 3, "spread": [0.01 * abs(level)] * 3}
    scaler = Scaler.from_dict(stored)
    assert np.isfinite(scaler.transform_finite(np.array([-level, level, 0.0]))).all()


@every_scaler
def test_a_missing_value_stays_missing(kind: str) -> None:
    scaler = SCALERS[kind]().fit(press_line_rows(500))
    assert np.isnan(scaler.transform_finite(np.array([[1.0, np.nan, 1.0]]))).tolist() == [
        [False, True, False]
    ]
