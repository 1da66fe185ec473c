"""Many rows as they are sent, JSON or CSV, to an array of shape (N, F).

A body is read at once where it can be. Where it cannot, a careful reader goes through it row by row
and says what is wrong in which row, counted from 0 and without the header row.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract
from serving.errors import SHOWN_PROBLEMS, MalformedBody, WrongMediaType, invalid
from serving.requests import parse_json

ROWS_AT_ONCE = 4096
CHARSETS = {
    "utf-8": "utf-8-sig",
    "us-ascii": "ascii",
    "utf-16": "utf-16",
    "shift_jis": "cp932",  # what spreadsheets in Japan write under this name
    "windows-31j": "cp932",
    "cp932": "cp932",
    "euc-jp": "euc_jp",
    "iso-8859-1": "cp1252",
    "windows-1252": "cp1252",
}
"""A closed table: some of Python's codecs take minutes over a large body."""

FloatArray = npt.NDArray[np.float64]


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON body, when every row is a list of numbers, or null where a value is missing."""

    instances: list[list[float | None]]


_decoder = msgspec.json.Decoder(BatchRequest)


def read_json(body: bytes, contract: DataContract) -> FloatArray:
    """Rows of `{"instances": [...]}`, shape (N, F): lists, or objects keyed by sensor name.

    Raises MalformedBody, or InvalidRow with what is wrong in which row.
    """
    try:
        if body.count(b'"') == 2:  # one text: the one name, which then cannot occur twice
            rows = _decoder.decode(body).instances
            rows_NF = _array(rows, contract, may_be_missing=contract.most_missing > 0)
            contract.require_present(rows_NF)
            return rows_NF
    except (ValueError, RecursionError):  # the careful reader says what is wrong, if anything is
        pass
    content = parse_json(body)
    if not isinstance(content, dict) or set(content) != {"instances"}:
        raise invalid('the body is not {"instances": [[...], ...]}, which is needed')
    instances = content["instances"]
    if not isinstance(instances, list):
        raise invalid(f"instances is {str(instances)[:60]}; a list of rows is needed")
    rows_NF = _checked(instances, contract, 0)
    contract.require_present(rows_NF)
    return rows_NF


def read_csv(body: bytes, charset: str, contract: DataContract) -> FloatArray:
    """Rows of a CSV file with a header row, shape (N, F); other columns than sensors are ignored,
    and an empty cell is a missing value.

    Raises MalformedBody, WrongMediaType for an unknown charset, or InvalidRow.
    """
    text = _text(body, charset)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    plain = "_" not in text.partition("\n")[2]  # NumPy reads 1_0 as 10
    try:
        names = [name.strip() for name in next(lines, [])]
        columns = _columns(names, contract)
        pieces = list(_pieces(lines, len(names), columns, contract, plain))
    except csv.Error as error:
        raise MalformedBody(f"the body is not CSV: {error} (line {lines.line_num})") from error
    if not pieces:
        return np.empty((0, len(columns)))
    rows_NF = np.concatenate(pieces)
    contract.require_present(rows_NF)
    return rows_NF


def _text(body: bytes, charset: str) -> str:
    if charset not in CHARSETS:
        raise WrongMediaType(f"charset is {charset[:60]!r}; known are {', '.join(CHARSETS)}")
    try:
        text = body.decode(CHARSETS[charset])
    except UnicodeDecodeError as error:
        raise MalformedBody(
            f"the body is not {charset} (byte {error.start}); another encoding can be named, as in "
            "Content-Type: text/csv; charset=shift_jis"
        ) from error
    return text.rstrip()


def _columns(names: Sequence[str], contract: DataContract) -> list[int]:
    """Where each sensor is in the header row."""
    problems = []
    for sensor in contract.sensors:
        found = names.count(sensor.name)
        if found != 1:
            said = "no column" if found == 0 else f"{found} columns"
            detail = f"sensor '{sensor.name}' has {said} in the header row; one is needed"
            problems.append(Problem(detail, sensor.name))
    if problems:
        raise InvalidRow(problems)
    return [names.index(sensor.name) for sensor in contract.sensors]


def _pieces(
    lines: Iterator[list[str]],
    width: int,
    columns: Sequence[int],
    contract: DataContract,
    plain: bool,
) -> Iterator[FloatArray]:
    pick = itemgetter(*columns) if len(columns) > 1 else lambda row: (row[columns[0]],)
    start = 0
    while piece := list(islice(lines, ROWS_AT_ONCE)):
        if not all(len(row) == width for row in piece):
            raise _ragged(piece, width, start)
        cells: list[Any] = [pick(row) for row in piece]
        try:
            if not plain:
                raise ValueError("a closer look is needed")
            yield _array(cells, contract)
        except ValueError:
            optional = contract.most_missing > 0
            numbers = [[_number(cell, optional) for cell in row] for row in cells]
            yield _checked(numbers, contract, start)
        start += len(piece)


def _ragged(rows: Iterable[list[str]], width: int, start: int) -> InvalidRow:
    return InvalidRow(
        [
            Problem(
                f"row {number}: {len(row)} cells came; the header row has {width}", None, number
            )
            for number, row in enumerate(rows, start)
            if len(row) != width
        ]
    )


def _number(cell: str, may_be_missing: bool) -> float | str | None:
    """A cell as a number, None where it is empty, or as it is for the contract to refuse."""
    if may_be_missing and not cell.strip():
        return None
    try:
        return cell if "_" in cell else float(cell)
    except ValueError:
        return cell


def _array(rows: Sequence[Any], contract: DataContract, may_be_missing: bool = False) -> FloatArray:
    """The rows at once, NaN for None if values `may_be_missing`; raises ValueError when any of them
    needs a closer look."""
    rows_NF = np.array(rows, dtype=np.float64) if rows else np.empty((0, len(contract.sensors)))
    if rows_NF.ndim != 2 or rows_NF.shape[1] != len(contract.sensors):
        raise ValueError("rows of another length")
    usable_NF = ~np.isinf(rows_NF) if may_be_missing else np.isfinite(rows_NF)
    if not usable_NF.all():
        raise ValueError("not finite")
    return rows_NF


def _checked(rows: Sequence[Any], contract: DataContract, start: int) -> FloatArray:
    """The rows one by one; raises InvalidRow with the first problems, naming row and sensor."""
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
