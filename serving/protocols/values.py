"""What was sent as numbers, to arrays that a detector can score; what is wrong is named.

`null` and NaN are missing values in the protocols here, whose clients write either for the other.
Arrays have the sensors in their last axis, in the order of the data contract.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract, shown
from serving.errors import SHOWN_PROBLEMS
from serving.formats.rows import FloatArray, unusable

NUMBERS = frozenset({int, float, type(None)})
CELLS_AT_ONCE = 2**16
"""A longer list in one call of NumPy would let no other thread run for too long."""


def read_rows(rows: Sequence[Any], contract: DataContract) -> FloatArray:
    """Rows of cells in the order of the contract, shape (N, F); raises InvalidRow."""
    width = len(contract.sensors)
    problems = (
        _wrong_width(number, row, contract)
        for number, row in enumerate(rows)
        if not isinstance(row, list) or len(row) != width
    )
    _raise_first(problems)
    flat = read_cells(list(chain.from_iterable(rows)), (len(rows), width), contract)
    return flat.reshape(len(rows), width)


def read_cells(cells: list[Any], shape: Sequence[int], contract: DataContract) -> FloatArray:
    """Cells of an array of `shape`, row by row, as floats; raises InvalidRow for what is no number.

    What is beyond every float becomes infinite, for `require_usable` to refuse.
    """
    flat = np.empty(len(cells))
    for at in range(0, len(cells), CELLS_AT_ONCE):
        some = cells[at : at + CELLS_AT_ONCE]
        if not set(map(type, some)) <= NUMBERS:
            _raise_first(
                _problem(place, shape, cell, contract)
                for place, cell in enumerate(cells)
                if type(cell) not in NUMBERS
            )
        try:
            flat[at : at + len(some)] = some
        except OverflowError:
            flat[at : at + len(some)] = [_float(cell) for cell in some]
    return flat


def require_rows(rows_NF: FloatArray, contract: DataContract) -> None:
    """Raise InvalidRow where consecutive rows, shape (N, F), cannot be scored."""
    require_usable(rows_NF, contract)
    contract.require_present(rows_NF)


def require_windows(windows_BTF: FloatArray, contract: DataContract) -> None:
    """Raise InvalidRow where windows, shape (B, T, F), cannot be scored."""
    if contract.window_length == 1:
        require_rows(windows_BTF[:, 0], contract)
        return
    require_usable(windows_BTF, contract)
    missing_B = np.count_nonzero(np.isnan(windows_BTF), axis=(1, 2))
    _raise_first(
        Problem(
            f"window {window}: " + contract.too_many_missing(int(missing_B[window]), False),
            row=int(window),
        )
        for window in np.flatnonzero(missing_B > contract.most_missing)
    )


def require_usable(values: FloatArray, contract: DataContract) -> None:
    """Raise InvalidRow, naming each, for values that are infinite, and for missing ones where the
    contract allows none."""
    found = unusable(values, contract)
    if found.any():
        _raise_first(
            _problem(int(place), values.shape, float(values.flat[place]), contract)
            for place in np.flatnonzero(found)
        )


def _raise_first(problems: Iterator[Problem]) -> None:
    """Raise InvalidRow with the first problems, if there are any."""
    found = [problem for problem, _ in zip(problems, range(SHOWN_PROBLEMS), strict=False)]
    if found:
        raise InvalidRow(found)


def _problem(place: int, shape: Sequence[int], cell: object, contract: DataContract) -> Problem:
    """What is wrong with the cell at `place` of a flattened array."""
    *rows, column = (int(index) for index in np.unravel_index(place, tuple(shape)))
    where = f"row {rows[0]}" if len(rows) == 1 else f"window {rows[0]}, row {rows[1]}"
    sensor = contract.sensors[column]
    missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
    shown_cell = "missing" if missing else shown(cell)
    return Problem(
        f"{where}: sensor '{sensor.name}' is {shown_cell}; {sensor.wanted}", sensor.name, rows[0]
    )


def _wrong_width(number: int, row: object, contract: DataContract) -> Problem:
    wanted = f"{len(contract.sensors)} values ({named(contract)}) are needed"
    came = f"{len(row)} values came" if isinstance(row, list) else f"{shown(row)} came"
    return Problem(f"row {number}: {came}; {wanted}", row=number)


def _float(cell: float | None) -> float:
    try:
        return np.nan if cell is None else float(cell)
    except OverflowError:
        return np.inf


def named(contract: DataContract) -> str:
    """The sensors' names, as far as a sentence can hold them."""
    return ", ".join(contract.names[:20]) + (", …" if len(contract.names) > 20 else "")
