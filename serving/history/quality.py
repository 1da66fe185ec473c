"""Which sensors are stuck: those that always moved, and do no longer.

A setpoint or a switch rests for hours and is well. So a sensor is watched only once it has been
seen to move in nearly every row, and it is stuck when it then repeats one value for too many.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from serving.history.record import BoolArray, FloatArray

LIVELY_ROWS = 200.0
LIVELY_SHARE = 0.8
RESTING = 10
"""After so many equal values what follows says nothing of how lively a sensor is."""
FORGET_ROWS = 20_000.0


@dataclass(slots=True)
class Quality:
    """What is known of a source's sensors, shape (F,) each: the last value, for how many rows it
    has been the same, over how many rows the sensor was watched, and in how many of them it
    moved."""

    last_F: FloatArray
    run_F: FloatArray
    seen_F: FloatArray
    moved_F: FloatArray

    @classmethod
    def read(cls, stored: bytes | None, sensors: int) -> Self:
        """What the database holds of it; a new beginning for another number of sensors."""
        if stored is not None:
            array = np.frombuffer(stored, dtype="<f8").reshape(4, -1)
            if array.shape[1] == sensors:
                return cls(*array.astype(np.float64))  # a copy, which may be changed
        nothing_F = np.zeros(sensors)
        return cls(np.full(sensors, np.nan), nothing_F, nothing_F.copy(), nothing_F.copy())

    def write(self) -> bytes:
        """For the database."""
        return b"".join(
            row_F.astype("<f8", copy=False).tobytes()
            for row_F in (self.last_F, self.run_F, self.seen_F, self.moved_F)
        )

    def lively(self) -> BoolArray:
        """Which sensors are known to move, shape (F,)."""
        enough: BoolArray = (self.seen_F >= LIVELY_ROWS) & (
            self.moved_F >= LIVELY_SHARE * self.seen_F
        )
        return enough

    def stuck(self, values_NF: FloatArray, rows: int) -> BoolArray:
        """Which values repeat the `rows` before them although their sensor moves, shape (N, F);
        goes on to the end of these rows. A missing value ends what repeats."""
        count, lively_F = len(values_NF), self.lively()
        before_NF = np.concatenate([self.last_F[None], values_NF[:-1]])
        moved_NF = values_NF != before_NF  # NaN differs from everything
        index_N1 = np.arange(count)[:, None]
        start_NF = np.where(moved_NF, index_N1, -1 - self.run_F)
        run_NF = index_N1 - np.maximum.accumulate(start_NF, axis=0)
        awake_NF = run_NF < RESTING
        self.seen_F = self.seen_F + awake_NF.sum(axis=0)
        self.moved_F = self.moved_F + moved_NF.sum(axis=0)
        old_F = self.seen_F > FORGET_ROWS
        self.seen_F[old_F] /= 2
        self.moved_F[old_F] /= 2
        self.last_F, self.run_F = values_NF[-1].copy(), run_NF[-1].astype(np.float64)
        stuck_NF: BoolArray = lively_F & (run_NF >= rows) if rows else np.zeros_like(moved_NF)
        return stuck_NF
