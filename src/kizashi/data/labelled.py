"""Rows whose condition is known."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kizashi.errors import DataError
from kizashi.runtime.windows import Rows

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

UNNAMED = "anomaly"
"""The name of the fault of rows that are labelled without one."""


@dataclass(frozen=True)
class LabelledRows:
    """Rows in order of time whose condition is known.

    `label_N` is True where a fault shows in the readings. `fault_N` names the fault that is present
    and is empty where there is none, or where a labelled row's fault has no name; a row with a
    fault that does not show yet counts as neither normal nor anomalous.
    """

    rows: Rows
    label_N: BoolArray
    fault_N: npt.NDArray[np.str_]

    @property
    def judged_N(self) -> BoolArray:
        """Rows that count: faulty ones, and those without any fault."""
        return np.asarray(self.label_N | (self.fault_N == ""))

    def windows(self, length: int) -> tuple[FloatArray, BoolArray]:
        """The windows of `length` rows that count, shape (B, T, F), and their labels, shape (B,):
        those of each window's last row.

        Raises DataError where there is no window.
        """
        last_B = self.rows.ends(length)
        judged_B = self.judged_N[last_B]
        windows_BTF = self.rows.windows(length, "labelled rows")
        return windows_BTF[judged_B], self.label_N[last_B][judged_B]

    def shows_faults(self, length: int) -> bool:
        """Whether any window of `length` rows ends at a row where a fault shows."""
        return bool(self.label_N[self.rows.ends(length)].any())

    @property
    def faults(self) -> int:
        """How many times a fault begins."""
        return len(self._starts)

    def halves(self) -> "tuple[LabelledRows, LabelledRows]":
        """The rows before and after a moment with half of the faults on either side.

        No fault is cut in two: the moment is halfway between the end of one and the beginning of
        the next. Raises DataError for fewer than two faults.
        """
        if self.faults < 2:
            raise DataError(
                f"the labelled rows hold {self.faults} fault{'' if self.faults == 1 else 's'}; two "
                "are needed, one to choose a threshold by and one to report it on"
            )
        following = int(self._starts[(self.faults + 1) // 2])
        end = int(np.flatnonzero(self._condition_N[:following] != "")[-1]) + 1
        cut = (end + following) // 2
        return self._part(slice(None, cut)), self._part(slice(cut, None))

    @cached_property
    def _condition_N(self) -> npt.NDArray[np.str_]:
        """The fault that is present, empty where there is none."""
        return np.where(self.label_N & (self.fault_N == ""), UNNAMED, self.fault_N)

    @cached_property
    def _starts(self) -> npt.NDArray[np.intp]:
        condition_N = self._condition_N
        changed_N = np.append(True, condition_N[1:] != condition_N[:-1])
        return np.flatnonzero(changed_N & (condition_N != ""))

    def _part(self, rows: slice) -> "LabelledRows":
        return LabelledRows(self.rows[rows], self.label_N[rows], self.fault_N[rows])
