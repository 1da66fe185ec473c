"""What all formats share: rows as they are sent become arrays of shape (N, F).

Numbers that JSON would read too are read many at once, by its fast decoder. Whatever else is sent
goes to the careful way, row by row, which says what is wrong in which row, counted from 0.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract
from serving.errors import SHOWN_PROBLEMS, BodyTooLarge

BLOCK_BYTES = 256 * 1024
"""Bodies are read in blocks of this size: tens of milliseconds of work, and few steps."""
LONGEST_ROW = 1024 * 1024
"""Characters; what is no end of a row for so long is not kept in memory any longer."""

FloatArray = npt.NDArray[np.float64]

_numbers = msgspec.json.Decoder(list[float]).decode
_readings = msgspec.json.Decoder(list[float | None]).decode


class Reader(Protocol):
    """Reads a body block by block; what it yields are the next rows, shape (N, F).

    Raises MalformedBody, BodyTooLarge, or InvalidRow with what is wrong in which row.
    """

    def feed(self, block: bytes) -> Iterator[FloatArray]:
        """The rows that are whole with this block."""

    def finish(self) -> Iterator[FloatArray]:
        """The rows that are left when there are no more blocks."""

    def close(self) -> None:
        """Let go of files."""


def everything_but(marks: bytes) -> bytes:
    """What `bytes.translate` deletes so that only `marks` are left: the structure of a text."""
    return bytes(set(range(256)) - set(marks))


def flat(numbers: bytes, may_be_missing: bool) -> FloatArray:
    """`1,2.5,-3e4` as an array, with NaN for null if values `may_be_missing`.

    Raises ValueError for anything but numbers as JSON writes them, within a float's range.
    """
    text = b"[%b]" % numbers
    try:
        values: Sequence[float | None] = _numbers(text)
    except ValueError:
        if not (may_be_missing and b"null" in numbers):
            raise
        values = _readings(text)
    return np.array(values, dtype=np.float64)


def at_once(rows: Sequence[Any], contract: DataContract) -> FloatArray:
    """Rows of numbers, or texts of numbers, as an array, NaN being a missing value; raises
    ValueError when any of them needs a closer look."""
    rows_NF = np.array(rows, dtype=np.float64)
    if rows_NF.ndim != 2 or rows_NF.shape[1] != len(contract.sensors):
        raise ValueError("rows of another length")
    if unusable(rows_NF, contract).any():
        raise ValueError("not finite")
    return rows_NF


def unusable(values: FloatArray, contract: DataContract) -> npt.NDArray[np.bool_]:
    """Which of the values cannot be scored: what is infinite, and NaN where none may be missing."""
    found: npt.NDArray[np.bool_] = (
        np.isinf(values) if contract.most_missing else ~np.isfinite(values)
    )
    return found


def checked(rows: Sequence[Any], contract: DataContract, start: int) -> FloatArray:
    """The rows one by one, the first of them being row `start`; raises InvalidRow with the first
    problems, naming row and sensor."""
    rows_NF = np.empty((len(rows), len(contract.sensors)))
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        try:
            rows_NF[index] = contract.row(row, start + index)
        except InvalidRow as error:
            problems += error.problems
            if len(problems) >= SHOWN_PROBLEMS:
                break
    if problems:
        raise InvalidRow(problems)
    return rows_NF


def columns(names: Sequence[str], contract: DataContract, where: str = "") -> list[int]:
    """Which of the columns `names` has each sensor; raises InvalidRow for sensors without one."""
    problems = []
    for sensor in contract.sensors:
        found = names.count(sensor.name)
        if found != 1:
            said = "no column" if found == 0 else f"{found} columns"
            detail = f"sensor '{sensor.name}' has {said}{where}; one is needed"
            problems.append(Problem(detail, sensor.name))
    if problems:
        raise InvalidRow(problems)
    return [names.index(sensor.name) for sensor in contract.sensors]


def require_an_end(text: str | bytes, row: int) -> None:
    """Raise BodyTooLarge where a row goes on for longer than any row does."""
    if len(text) > LONGEST_ROW:
        detail = f"row {row} is longer than the {LONGEST_ROW} characters that a row may have"
        raise BodyTooLarge(detail)
