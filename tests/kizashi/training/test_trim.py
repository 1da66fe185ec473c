"""Leaving the strangest training windows out."""

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import ConfigurationError
from kizashi.training.trim import REFERENCES, trimmed

FloatArray = npt.NDArray[np.float64]


def normal(windows: int, seed: int = 0) -> FloatArray:
    windows_BTF: FloatArray = np.random.default_rng(seed).normal(size=(windows, 2, 3))
    return windows_BTF


def test_nothing_is_left_out_unless_asked_for() -> None:
    assert trimmed(normal(100), 0.0).all()


@pytest.mark.parametrize(("share", "left_out"), [(0.1, 20), (0.049, 9), (0.004, 0), (0.49, 98)])
def test_as_many_as_the_share_asks_are_left_out(share: float, left_out: int) -> None:
    assert (~trimmed(normal(200), share)).sum() == left_out


@pytest.mark.parametrize("windows", [200, 10 * REFERENCES])
def test_faults_that_resemble_one_another_are_left_out(windows: int) -> None:
    faults = windows // 20
    alike_BTF = 3.0 + 0.01 * normal(faults, seed=1)
    mixed_BTF = np.concatenate([normal(windows - faults), alike_BTF])
    order = np.random.default_rng(2).permutation(windows)
    kept_B = trimmed(mixed_BTF[order], 0.05)
    assert not kept_B[order >= windows - faults].any()


def test_the_wildest_window_is_the_first_to_go() -> None:
    windows_BTF = normal(100)
    windows_BTF[37] = 1e3
    assert np.flatnonzero(~trimmed(windows_BTF, 0.01)).tolist() == [37]


def test_windows_that_repeat_one_another_are_left_out_by_number_alone() -> None:
    assert trimmed(np.zeros((50, 1, 2)), 0.1).sum() == 45


@pytest.mark.parametrize("share", [-0.1, 0.5, 1.0, float("nan")])
def test_a_share_that_is_negative_or_half_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match=f"^trim is {share}; a share from 0 and below 0.5"):
        trimmed(normal(10), share)
