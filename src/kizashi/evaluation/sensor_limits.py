"""What limits on each sensor alone would have found: the check that a PLC runs today.

It is the yardstick of every run: a detector that finds no more than this earns nothing.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SensorLimits:
    """A lower and an upper limit on each sensor, shapes (F,), in its unit."""

    low_F: FloatArray
    high_F: FloatArray

    @classmethod
    def fit(cls, rows_NF: FloatArray, false_alarm_rate: float) -> Self:
        """Limits that together flag about this share of normal rows: each of the 2 F limits gets
        an equal part of it (Bonferroni)."""
        tail = false_alarm_rate / (2 * rows_NF.shape[1])
        low_F, high_F = np.quantile(rows_NF, [tail, 1 - tail], axis=0)
        return cls(low_F, high_F)

    def exceeded(self, rows_NF: FloatArray) -> npt.NDArray[np.bool_]:
        """Which rows have any sensor beyond its limits, shape (N,)."""
        beyond_NF = (rows_NF < self.low_F) | (rows_NF > self.high_F)
        return np.asarray(beyond_NF.any(axis=1))
