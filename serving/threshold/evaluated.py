"""What a threshold would find of the labelled rows that the served model was evaluated on.

The rows stayed where the model was trained. The run that trained it left, as a tag of the version,
how many of them score above some scores; between those, counts are told by a straight line.
"""

from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

TAG = "labelled_scores"
"""As `kizashi.evaluation.labelled_scores` names it."""
MOST_POINTS = 10_000


class _Told(msgspec.Struct, frozen=True):
    faulty_rows: int
    normal_rows: int
    score: list[float]
    faulty: list[int]
    normal: list[int]

    @property
    def sound(self) -> bool:
        """Whether it can be what a run left: a tag is anybody's text."""
        counts = ((self.faulty_rows, self.faulty), (self.normal_rows, self.normal))
        return (
            0 < len(self.score) <= MOST_POINTS
            and bool(np.all(np.diff(self.score) > 0))
            and all(len(column) == len(self.score) for _, column in counts)
            and all(_falls(rows, column) for rows, column in counts)
        )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Of the labelled rows those that would be anomalies. `exact`: counted there, not between."""

    faulty_rows: int
    faulty_found: int
    normal_rows: int
    normal_found: int
    exact: bool

    @property
    def precision(self) -> float | None:
        """The share of the rows above that are faulty."""
        found = self.faulty_found + self.normal_found
        return self.faulty_found / found if found else None

    @property
    def recall(self) -> float | None:
        """The share of the faulty rows that are above."""
        return self.faulty_found / self.faulty_rows if self.faulty_rows else None


def evaluated(tags: dict[str, str], value: float) -> Evaluated | None:
    """With a threshold of `value`; None where the version does not carry the scores."""
    try:
        told = msgspec.json.decode(tags.get(TAG, ""), type=_Told)
    except msgspec.DecodeError:
        return None
    if not told.sound:
        return None
    faulty = round(float(np.interp(value, told.score, told.faulty)))
    normal = round(float(np.interp(value, told.score, told.normal)))
    return Evaluated(told.faulty_rows, faulty, told.normal_rows, normal, value in told.score)


def _falls(rows: int, column: list[int]) -> bool:
    ordered = [rows, *column, 0]
    return all(one >= other for one, other in pairwise(ordered))
