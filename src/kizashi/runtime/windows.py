"""Rows to windows: the last row of each window is the row that the window judges.

Rows belong to stretches: those that follow one another without a pause, and without a row between
them that was left out. No window reaches from one stretch into the next, because no machine ever
sends such a window.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in order of time, in original units, shape (N, F).

    `stretch_N` numbers the stretch of each row; the rows of a stretch stand together. None: all of
    them are one stretch. Raises DataError for another number of rows.
    """

    values_NF: FloatArray
    stretch_N: IntArray | None = None

    def __post_init__(self) -> None:
        if self.stretch_N is not None and len(self.stretch_N) != len(self.values_NF):
            raise DataError(f"there are {len(self.values_NF)} rows and {len(self.stretch_N)} marks")

    def __len__(self) -> int:
        return len(self.values_NF)

    def __getitem__(self, part: slice) -> Self:
        stretch_N = None if self.stretch_N is None else self.stretch_N[part]
        return type(self)(self.values_NF[part], stretch_N)

    def at(self, places_K: npt.NDArray[np.intp]) -> Self:
        """The rows at these places, rising."""
        stretch_N = None if self.stretch_N is None else self.stretch_N[places_K]
        return type(self)(self.values_NF[places_K], stretch_N)

    @property
    def lengths(self) -> IntArray:
        """How many rows each stretch has, in order; empty without rows."""
        return stretch_lengths(np.zeros(len(self)) if self.stretch_N is None else self.stretch_N)

    def ends(self, length: int) -> IntArray:
        """The places of the rows that end a whole window of `length` rows, rising."""
        lengths = self.lengths
        first_N = np.repeat(np.cumsum(lengths) - lengths, lengths)
        place_N = np.arange(len(self))
        return place_N[place_N - first_N >= length - 1]

    def windows(self, length: int, of: str = "rows") -> FloatArray:
        """The windows that end at `ends`, shape (B, length, F); a view where they are all that
        `length` rows in succession give.

        Raises DataError where there is none, calling the rows what `of` says.
        """
        longest = int(self.lengths.max(initial=0))
        if longest < length and longest < len(self):
            raise DataError(
                f"{len(self)} {of} came in {len(self.lengths)} stretches without a pause, the "
                f"longest of {longest}; one window needs {length}: choose a shorter window.length, "
                "or a larger data.max_step where these steps are no pauses"
            )
        windows_BTF = np.asarray(sliding_windows(self.values_NF, length, of))
        ends = self.ends(length)
        return windows_BTF if len(ends) == len(windows_BTF) else windows_BTF[ends - (length - 1)]

    def without(self, part: slice) -> "Rows":
        """The other rows, each in the stretch that it was in."""
        stretch_N = None if self.stretch_N is None else np.delete(self.stretch_N, part)
        return Rows(np.delete(self.values_NF, part, axis=0), stretch_N)

    def followed_by(self, later: "Rows") -> "Rows":
        """These rows and later ones, which are no part of any stretch of these."""
        lengths = np.concatenate([self.lengths, later.lengths])
        return Rows(
            np.concatenate([self.values_NF, later.values_NF]),
            np.repeat(np.arange(len(lengths)), lengths),
        )


def stretch_lengths(stretch_N: npt.NDArray[np.number]) -> IntArray:
    """How many rows each stretch has, from the number of the stretch of each row, in order."""
    starts = np.flatnonzero(np.diff(stretch_N, prepend=np.nan) != 0)
    return np.diff(starts, append=len(stretch_N))


def sliding_windows(
    rows_NF: npt.NDArray[np.floating], length: int, of: str = "rows"
) -> npt.NDArray[np.floating]:
    """Every window of `length` consecutive rows, shape (N - length + 1, length, F), as a view.

    Raises DataError when there are fewer rows than one window needs, calling them what `of` says.
    """
    if len(rows_NF) < length:
        raise DataError(f"{len(rows_NF)} {of} came; one window needs {length}")
    windows_BFT = np.lib.stride_tricks.sliding_window_view(rows_NF, length, axis=0)
    return windows_BFT.swapaxes(1, 2)
