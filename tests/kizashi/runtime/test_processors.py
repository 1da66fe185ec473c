"""A score does not hang on the processor, nor on how many windows are scored together."""

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.runtime.scoring import NearestNormal, Rebuilt

FloatArray = npt.NDArray[np.float64]
STEPPED = """
from tests.kizashi.runtime.test_processors import differing
raise SystemExit(differing())
"""
KERNELS = ["", "Haswell", "Nehalem"]
"""This processor's own way of working out products, and those of older ones, which OpenBLAS takes
by their name where the processor can."""


def stepped(count: int, sensors: int, seed: int) -> FloatArray:
    """Windows of sensors that read in steps, shape (B, 1, F): many are equally far from many."""
    drawn_BTF = np.random.default_rng(seed).normal(size=(count, 1, sensors))
    return 0.34 * np.round(drawn_BTF / 0.25)


def rebuilt(scaled_BTF: FloatArray) -> Rebuilt:
    return Rebuilt(scaled_BTF, scaled_BTF[None])


def differing() -> int:
    """How many windows have another score alone than among others."""
    count = 0
    for sensors in (2, 3, 4, 5, 8, 20, 32):
        scorer = NearestNormal().fit(rebuilt(stepped(3000, sensors, 0)))
        new = rebuilt(stepped(200, sensors, 1))
        alone_B = np.array([scorer.score_one(new[place : place + 1]) for place in range(200)])
        count += int((np.abs(alone_B / scorer.score(new) - 1) > 1e-9).sum())
    return count


@pytest.mark.parametrize("kernel", KERNELS)
def test_alone_a_window_has_the_score_that_it_has_among_others(kernel: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPPED],
        check=False,
        env=os.environ | {"OPENBLAS_CORETYPE": kernel, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=600,
    )
    assert done.returncode == 0
