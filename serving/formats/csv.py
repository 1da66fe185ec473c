"""CSV with a header row: columns are found by name, and other columns than sensors are ignored.
Cells are separated as the header's are: by commas, semicolons or tabs, as in a file to train on.

An empty cell is a missing value, and so is NaN: programs write either. Three ways lead through a
block of lines, each slower and more careful than the one before: JSON's decoder, where sensors'
cells are numbers as JSON writes them; `csv` and NumPy; cell by cell, which names what is wrong.
"""

import codecs
import csv
import io
import math
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract
from serving.errors import SHOWN_PROBLEMS, MalformedBody, WrongMediaType
from serving.formats.rows import (
    FloatArray,
    at_once,
    checked,
    columns,
    everything_but,
    flat,
    require_an_end,
)
from serving.formats.writing import LineWriter

if TYPE_CHECKING:
    import _csv

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
SEPARATORS = (",", ";", "\t")
SHOWN_NAMES, SHOWN_CHARACTERS = 8, 40
NO_MARK = everything_but(b",\n")
OPEN_QUOTE = "unexpected end of data"  # what `csv` says of a text that ends inside a quoted cell


class CsvReader:
    """Reads lines as soon as they are whole; a row that ends inside a quoted cell goes on in the
    next block. Raises WrongMediaType for an unknown charset."""

    def __init__(self, contract: DataContract, charset: str) -> None:
        if charset not in CHARSETS:
            raise WrongMediaType(f"charset is {charset[:60]!r}; known are {', '.join(CHARSETS)}")
        self._contract = contract
        self._text = _Text(charset)
        self._separator = ","
        self._columns: list[int] = []
        self._width = 0
        self._left = self._open = ""
        self._lines = 0
        self._rows = 0

    def feed(self, block: bytes) -> Iterator[FloatArray]:
        text = self._left + self._text.read(block)
        # White space at the end of a file is no row; in the middle of it, it is a wrong one.
        end = text.rfind("\n", 0, len(self._stripped(text))) + 1
        yield from self._read(text[:end])
        self._left = self._open + text[end:]
        require_an_end(self._left, self._rows)

    def finish(self) -> Iterator[FloatArray]:
        text = self._stripped(self._left + self._text.read(b"", last=True))
        yield from self._read(text + "\n" if text else "", last=True)

    def close(self) -> None: ...

    def _stripped(self, text: str) -> str:
        """The text without the white space at its end; a tab that separates cells is none."""
        return text.rstrip(" \n") if self._separator == "\t" else text.rstrip()

    def _read(self, text: str, last: bool = False) -> Iterator[FloatArray]:
        """Rows of whole lines; what is left of them because a quote is open goes to `_open`."""
        self._open = ""
        if not self._width and (text or last):
            text = self._after_header(text, last)
        if not text:
            return
        try:
            rows_NF = self._plain(text)
        except ValueError:
            yield from self._quoted(text, last)
            return
        self._lines += len(rows_NF)
        self._rows += len(rows_NF)
        yield rows_NF

    def _after_header(self, text: str, last: bool) -> str:
        """Find the sensors in the first row that is not blank; the text after it."""
        lines = _lines(text)
        begin = next((at for at, line in enumerate(lines) if line.strip()), None)
        if begin is None:
            raise MalformedBody("the body is empty; a header row, of sensors' names, is needed")
        self._lines, lines = begin, lines[begin:]
        self._separator = max(SEPARATORS, key=lines[0].count)
        rows = self._cells(lines)
        try:
            names = [name.strip() for name in next(rows, [])]
        except csv.Error as error:
            self._require_open(error, rows.line_num, last)
            self._open = text
            return ""
        self._columns = columns(names, self._contract, f" in the header row ({_listed(names)})")
        self._width, self._lines = len(names), begin + rows.line_num
        return "".join(lines[rows.line_num :])

    def _cells(self, lines: list[str]) -> "_csv.Reader":
        return csv.reader(lines, delimiter=self._separator, strict=True)

    def _plain(self, text: str) -> FloatArray:
        """Lines of plain numbers; raises ValueError when any of them needs a closer look."""
        if self._separator != ",":
            if "," in text or '"' in text:
                raise ValueError("a comma or a quote inside a cell")
            text = text.replace(self._separator, ",")
        cells = (_unquoted(text) if '"' in text else text).encode()
        count, width = cells.count(b"\n"), self._width
        if cells.translate(None, NO_MARK) != (b"," * (width - 1) + b"\n") * count:
            raise ValueError("rows of another length")
        cells = cells[:-1].replace(b"\n", b",")
        if width == len(self._columns):
            try:
                rows_NF = flat(cells, False).reshape(count, width)
            except ValueError:
                if b",," not in cells:
                    raise
            else:
                in_order = self._columns == list(range(width))
                return rows_NF if in_order else rows_NF[:, self._columns]
        return self._picked(cells.split(b","), count)

    def _picked(self, cells: list[bytes], count: int) -> FloatArray:
        """The sensors' columns out of all cells, row after row."""
        rows_NF = np.empty((count, len(self._columns)))
        optional = self._contract.most_missing > 0 and self._width > 1
        for index, column in enumerate(self._columns):
            picked = cells[column :: self._width]
            gaps = optional and b"" in picked
            if gaps and b"null" in picked:
                raise ValueError("a text, not a missing value")
            if gaps:
                picked = [cell or b"null" for cell in picked]
            rows_NF[:, index] = flat(b",".join(picked), gaps)
        return rows_NF

    def _quoted(self, text: str, last: bool) -> Iterator[FloatArray]:
        lines = _lines(text)
        found = self._cells(lines)
        rows: list[list[str]] = []
        whole, failed = 0, None
        try:
            for row in found:
                rows.append(row)
                whole = found.line_num
        except csv.Error as error:
            failed = error
        if rows:
            yield self._numbers(rows, plain="_" not in text)  # NumPy reads 1_0 as 10
        if failed is not None:
            self._require_open(failed, found.line_num, last)
        self._lines += whole
        self._open = "".join(lines[whole:])

    def _require_open(self, error: csv.Error, line: int, last: bool) -> None:
        """Raise MalformedBody unless more text may mend what `csv` said."""
        if last or str(error) != OPEN_QUOTE:
            place = self._lines + line
            raise MalformedBody(f"the body is not CSV: {error} (line {place})") from error

    def _numbers(self, rows: list[list[str]], plain: bool) -> FloatArray:
        if not all(len(row) == self._width for row in rows):
            raise _ragged(rows, self._width, self._rows)
        at = self._columns
        pick = itemgetter(*at) if len(at) > 1 else lambda row: (row[at[0]],)
        cells: list[Any] = [pick(row) for row in rows]
        start, self._rows = self._rows, self._rows + len(rows)
        try:
            if plain:
                return at_once(cells, self._contract)
        except ValueError:
            pass
        optional = self._contract.most_missing > 0
        numbers = [[_number(cell, optional) for cell in row] for row in cells]
        return checked(numbers, self._contract, start)


class _Text:
    """Bytes in `charset` as text whose lines end with a line feed, block by block."""

    def __init__(self, charset: str) -> None:
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder(CHARSETS[charset])()
        self._lines = io.IncrementalNewlineDecoder(None, translate=True)
        self._bytes = 0

    def read(self, block: bytes, last: bool = False) -> str:
        """Raises MalformedBody for bytes that the charset does not have."""
        kept = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(block, last)
        except UnicodeDecodeError as error:
            place = max(0, self._bytes - kept) + error.start
            raise MalformedBody(
                f"the body is not {self._charset} (byte {place}); another encoding can be named, "
                "as in Content-Type: text/csv; charset=shift_jis"
            ) from error
        except UnicodeError as error:  # UTF-16 without a mark of its byte order
            raise MalformedBody(f"the body is not {self._charset}: {error}") from error
        self._bytes += len(block)
        return self._lines.decode(text, last)


def _unquoted(text: str) -> str:
    """Lines without the quotes around some of their cells; raises ValueError where quotes do more
    than to stand around a cell."""
    inside = "".join(text.split('"')[1::2])
    count = text.count('"') // 2
    opening = text.count(',"') + text.count('\n"') + text.startswith('"')
    closing = text.count('",') + text.count('"\n')
    # With no comma and line feed inside, a quote beside one of them is where it should be.
    if "," in inside or "\n" in inside or not opening == closing == count:
        raise ValueError("quotes inside a cell, or around a comma")
    return text.replace('"', "")


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name[:SHOWN_CHARACTERS]) for name in names[:SHOWN_NAMES]]
    return ", ".join(shown + ["…"] * (len(names) > SHOWN_NAMES))


def _lines(text: str) -> list[str]:
    return io.StringIO(text, newline="\n").readlines()


def _ragged(rows: Sequence[list[str]], width: int, start: int) -> InvalidRow:
    problems = [
        Problem(f"row {number}: {len(row)} cells came; the header row has {width}", None, number)
        for number, row in enumerate(rows, start)
        if len(row) != width
    ]
    return InvalidRow(problems[:SHOWN_PROBLEMS])


def _number(cell: str, may_be_missing: bool) -> float | str | None:
    """A cell as a number, None where its value is missing, or as it is for the contract to
    refuse."""
    if may_be_missing and not cell.strip():
        return None
    try:
        number = float(cell)
    except ValueError:
        return cell
    if "_" in cell:  # Python reads 1_0 as 10
        return cell
    return None if may_be_missing and math.isnan(number) else number


class CsvWriter(LineWriter):
    """One line a row, `score,status`; a row without a verdict has two empty cells."""

    HEAD = b"score,status\r\n"
    BEFORE = b""
    NORMAL, ANOMALY = b",normal\r\n", b",anomaly\r\n"
    NOTHING = b",\r\n"
