"""What a distance from normal windows has to be compared with."""

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.runtime.scoring.spacing import resolution, without_thinning

FloatArray = npt.NDArray[np.float64]


def values(windows: int = 2000, sensors: int = 2, seed: int = 0) -> FloatArray:
    values_PV: FloatArray = np.random.default_rng(seed).normal(size=(windows, sensors))
    return values_PV


@pytest.mark.parametrize("step", [0.01, 0.1, 0.5])
def test_readings_in_steps_are_uncertain_by_the_deviation_of_rounding(step: float) -> None:
    exact_PV = values()
    read_PV = step * np.round(exact_PV / step)
    assert resolution(read_PV) == pytest.approx(step / np.sqrt(12))
    assert resolution(read_PV) == pytest.approx(np.std(read_PV - exact_PV), rel=0.05)


def test_readings_of_any_value_are_nearly_certain() -> None:
    assert resolution(values()) < 1e-4


def test_a_sensor_is_uncertain_by_no_more_than_it_varies() -> None:
    rare_PV = np.zeros((1000, 1))
    rare_PV[0] = 30.0
    assert resolution(rare_PV) == pytest.approx(rare_PV.std())


def test_constant_sensors_and_single_windows_are_certain() -> None:
    assert resolution(np.ones((100, 3))) == 0
    assert resolution(np.ones((1, 3))) == 0


def test_the_uncertainty_is_that_of_all_sensors_together() -> None:
    mixed_PV = values()
    mixed_PV[:, 1] = 0.5 * np.round(2 * mixed_PV[:, 1])
    assert resolution(mixed_PV) == pytest.approx(0.5 / np.sqrt(12) / np.sqrt(2), rel=1e-3)


def test_spacing_that_grows_with_the_distance_from_the_middle_is_made_even() -> None:
    values_PV = 5.0 + values()
    far_P = np.linalg.norm(values_PV - values_PV.mean(axis=0), axis=1)
    even_P = without_thinning(0.3 * far_P**1.5, values_PV)
    np.testing.assert_allclose(even_P, even_P[0])


def test_spacing_that_has_nothing_to_do_with_that_distance_stays() -> None:
    values_PV = values()
    spacing_P = np.random.default_rng(1).uniform(0.1, 1, len(values_PV))
    np.testing.assert_allclose(without_thinning(spacing_P, values_PV), spacing_P, rtol=0.01)


def test_crowds_far_from_the_middle_may_be_dense() -> None:
    values_PV = values()
    denser_P = 1 / (1 + np.linalg.norm(values_PV, axis=1))
    np.testing.assert_allclose(without_thinning(denser_P, values_PV), denser_P)


@pytest.mark.parametrize("windows", [1, 5])
def test_windows_that_are_all_the_same_keep_their_spacing(windows: int) -> None:
    np.testing.assert_array_equal(
        without_thinning(np.ones(windows), np.ones((windows, 2))), np.ones(windows)
    )
    np.testing.assert_array_equal(without_thinning(np.ones(5), values(5)), np.ones(5))
