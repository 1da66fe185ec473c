"""Nothing is learnt from, or calibrated on, a window that no machine has sent."""

from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import DataError
from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.scaling import StandardScaler
from kizashi.runtime.scoring import Rebuilt, ReconstructionError
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows, Recipe, fit_bundle
from kizashi.training.trainer import NetworkTrainer

FloatArray = npt.NDArray[np.float64]

LENGTH = 4
NIGHT = 30
"""Rows between two pauses, at each of which the level is another one."""


class Watching(ReconstructionError):
    """Keeps the windows that detectors of this kind are fitted on and score, in original units."""

    fitted: ClassVar[list[FloatArray]] = []
    scored: ClassVar[list[FloatArray]] = []

    def fit(self, rebuilt: Rebuilt) -> Self:
        self.fitted.append(original(rebuilt))
        return super().fit(rebuilt)

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        self.scored.append(original(rebuilt))
        return super().score(rebuilt)


def original(rebuilt: Rebuilt) -> FloatArray:
    assert rebuilt.scaler is not None
    return rebuilt.scaler.inverse(rebuilt.scaled_BTF)


@pytest.fixture(autouse=True)
def nothing_watched() -> None:
    Watching.fitted.clear()
    Watching.scored.clear()


def nights(count: int, seed: int = 0) -> Rows:
    """`count` rows whose level jumps by 100 at every pause, and varies little in between."""
    night_N = np.arange(count) // NIGHT
    noise_NF = np.random.default_rng(seed).uniform(0, 1, (count, 2))
    return Rows(100.0 * night_N[:, None] + noise_NF, night_N)


def fitted(folder: Path, rows: NormalRows) -> Bundle:
    recipe = Recipe(
        network=partial(DenseAutoencoder, hidden=(4,), latent=1),
        scaler=StandardScaler(),
        scorer=Watching(),
        threshold=ConformalThreshold(0.1),
        trainer=NetworkTrainer("cpu", steps=5, progress=False),
    )
    sensors = (Sensor("speed"), Sensor("load"))
    contract = DataContract(sensors, LENGTH, missing="reject")
    return fit_bundle(recipe, contract, rows, folder)


def mixed(windows: list[FloatArray]) -> int:
    """How many windows hold rows from before and after a pause."""
    return sum(int((np.ptp(one_BTF, axis=1) > 50).any(axis=1).sum()) for one_BTF in windows)


def test_no_window_that_is_learnt_from_or_calibrated_on_reaches_over_a_pause(
    tmp_path: Path,
) -> None:
    rows = nights(600)
    bundle = fitted(tmp_path, NormalRows(rows[:300], rows[310:370], rows[380:]))
    assert mixed(Watching.fitted) == mixed(Watching.scored) == 0
    lost = LENGTH - 1
    assert sum(map(len, Watching.fitted)) == (300 - 10 * lost) + (60 - 3 * lost)
    assert bundle.detector.threshold.calibration_rows == 220 - 8 * lost
    assert np.ptp(bundle.example) < 50


def test_no_window_of_cross_fitting_reaches_over_a_pause(tmp_path: Path) -> None:
    bundle = fitted(tmp_path, NormalRows(nights(240), nights(0), nights(0)))
    assert mixed(Watching.fitted) == mixed(Watching.scored) == 0
    assert bundle.detector.calibration.blocks == (NIGHT - LENGTH + 1,) * 8


def test_a_block_of_cross_fitting_may_reach_over_pauses(tmp_path: Path) -> None:
    bundle = fitted(tmp_path, NormalRows(nights(480), nights(0), nights(0)))
    assert mixed(Watching.fitted) == mixed(Watching.scored) == 0
    assert bundle.detector.calibration.blocks == (2 * (NIGHT - LENGTH + 1),) * 8


def test_what_follows_a_gap_of_the_split_is_no_part_of_the_same_stretch(tmp_path: Path) -> None:
    rows = nights(480)
    fitted(tmp_path, NormalRows(rows[:300], rows[330:], rows[:0]))
    assert mixed(Watching.fitted) == mixed(Watching.scored) == 0


def test_a_part_without_a_whole_window_is_named(tmp_path: Path) -> None:
    rows, scattered = nights(300), Rows(np.zeros((60, 2)), np.arange(60) // 3)
    message = (
        r"^60 calibration rows came in 20 stretches without a pause, the longest of 3; one window "
        r"needs 4: choose a shorter window.length, or a larger data.max_step "
    )
    with pytest.raises(DataError, match=message):
        fitted(tmp_path, NormalRows(rows, rows[:0], scattered))
