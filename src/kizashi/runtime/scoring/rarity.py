"""How rare states are: between yes and no nothing is near."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from kizashi.errors import NotCalibrated
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, SumOfSquares

SMALLEST_DEVIATION = 1e-9
"""In scaled units: values that lie nearer are one but for rounding."""


class StateRarity(SumOfSquares):
    """The root mean square of the states of on/off sensors, in deviations from their means.

    A state that a share p of normal rows has adds (1 − p) / p: a rare one is strange though no
    window is far from its neighbours. It is Hotelling's T² (Ann. Math. Stat. 2, 1931) as if no
    sensor depended on another; how they do is what other scorers see. A sensor is on/off that reads
    two values in training; a value between them, such as one that was filled in, adds less than the
    rarer of the two. A sensor that never moved adds nothing.

    `applies` is False unless every sensor that moved is on/off. Beside measurements a few states
    say what is being made, and what is made rarely is normal; or they are so many that their
    rarity drowns what the measurements say.
    """

    kind = "state_rarity"
    needs_network = False

    def __init__(self) -> None:
        self._center_F: FloatArray | None = None
        self._scale_F: FloatArray | None = None

    def fit(self, seen: Rebuilt) -> Self:
        rows_NF = seen.scaled_BTF.reshape(-1, seen.scaled_BTF.shape[-1])
        deviation_F = rows_NF.std(axis=0)
        moved_F = deviation_F > SMALLEST_DEVIATION
        two_F = ((rows_NF == rows_NF.min(axis=0)) | (rows_NF == rows_NF.max(axis=0))).all(axis=0)
        self.applies = bool(moved_F.any() and two_F[moved_F].all())
        self._center_F = rows_NF.mean(axis=0)
        self._scale_F = np.where(moved_F & two_F, 1 / np.where(moved_F, deviation_F, 1.0), 0.0)
        return self

    def squares(self, rebuilt: Rebuilt) -> FloatArray:
        square_BTF = self._standardised(rebuilt.scaled_BTF) ** 2
        square_BF: FloatArray = square_BTF.mean(axis=1)
        return square_BF

    def score_one(self, rebuilt: Rebuilt) -> float:
        value_V = self._standardised(rebuilt.scaled_BTF).ravel()
        return math.sqrt(float(value_V @ value_V) / len(value_V))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self._center_F, "scale": self._scale_F}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls()
        scorer._center_F, scorer._scale_F = stored["center"], stored["scale"]
        return scorer

    def _standardised(self, scaled_BTF: FloatArray) -> FloatArray:
        if self._center_F is None or self._scale_F is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        standard_BTF = scaled_BTF - self._center_F
        standard_BTF *= self._scale_F
        return standard_BTF
