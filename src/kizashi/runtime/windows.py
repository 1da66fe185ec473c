"""Rows to windows: the last row of each window is the row that the window judges."""

import numpy as np
import numpy.typing as npt

from kizashi.errors import DataError


def sliding_windows(rows_NF: npt.NDArray[np.floating], length: int) -> npt.NDArray[np.floating]:
    """Every window of `length` consecutive rows, shape (N - length + 1, length, F), as a view.

    Raises DataError when there are fewer rows than one window needs.
    """
    if len(rows_NF) < length:
        raise DataError(f"{len(rows_NF)} rows came; one window needs {length}")
    windows_BFT = np.lib.stride_tricks.sliding_window_view(rows_NF, length, axis=0)
    return windows_BFT.swapaxes(1, 2)
