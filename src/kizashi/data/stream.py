"""Tables of any size, piece by piece: a file is never in memory as a whole.

What a CSV or Parquet file may look like is what `kizashi.data.load` reads; here only the needed
columns are read, and a piece holds a bounded number of cells.
"""

import codecs
import io
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kizashi.data.load import ENCODINGS, SURPLUS, read_header, require_distinct, require_file
from kizashi.errors import DataError

CELLS_AT_ONCE = 2**19
"""Cells in one piece: enough that the cost of a piece is spread thin, some 50 MB as CSV text."""
ROWS_TO_LOOK_AT = 1000

_BLOCK = 2**20
_BLANK = b" \t\r\n\x00"

logger = logging.getLogger(__name__)


class TableStream(ABC):
    """A table read in order. `size` is the whole of it, and `position` how far reading has come,
    both in bytes or rows."""

    kind: ClassVar[str]

    def __init__(self, path: Path, columns: Sequence[str], size: int) -> None:
        self.path, self.columns, self.size = path, list(columns), size
        self.position = 0
        require_distinct(self.columns, path)

    @abstractmethod
    def head(self) -> pd.DataFrame:
        """The first rows, every column."""

    def pieces(self, columns: Sequence[str], rows: int | None = None) -> Iterator[pd.DataFrame]:
        """The rows in order, at most `rows` of them at a time, with these columns.

        A CSV file has the column SURPLUS too: the first cell beyond the header, mostly empty.
        Raises DataError when the file turns out to be unreadable, or to have no rows.
        """
        self.position = 0
        some = False
        for frame in self._pieces(columns, rows or max(1, CELLS_AT_ONCE // (len(columns) + 1))):
            some = some or len(frame) > 0
            yield frame
        if not some:
            raise DataError(f"data file '{self.path}' has no rows")

    @abstractmethod
    def _pieces(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]: ...


class CsvStream(TableStream):
    """A CSV file; cells are numbers where all of a piece's column are, else text as written."""

    kind = "CSV"

    def __init__(self, path: Path) -> None:
        encoding = _encoding(path)
        header, self._separator, self._records = read_header(path, encoding)
        with path.open("rb") as file:
            mark = file.read(3)
        # Python's "utf-16" would look for the mark again after the line that `_Body` puts first.
        if encoding == "utf-16":
            little = mark.startswith(codecs.BOM_UTF16_LE)
            self._encoding, self._start = "utf-16-le" if little else "utf-16-be", 2
        else:
            self._encoding = "utf-8" if encoding == "utf-8-sig" else encoding
            self._start = 3 if mark == codecs.BOM_UTF8 else 0
        super().__init__(path, header, path.stat().st_size)

    def head(self) -> pd.DataFrame:
        """The first rows, every column, as text."""
        return next(self._read(self.columns, ROWS_TO_LOOK_AT, "str"))

    def _pieces(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        yield from self._read([*columns, SURPLUS], rows, {SURPLUS: "str"})
        self.position = self.size

    def _read(self, columns: Sequence[str], rows: int, kind: Any) -> Iterator[pd.DataFrame]:
        names = [*self.columns, SURPLUS]
        widest = (self._separator.join("x" * len(names)) + "\n").encode(self._encoding)
        end = _end_of_rows(self.path, self._separator, wide=self._encoding.startswith("utf-16"))
        with self.path.open("rb") as file, _Body(file, widest, self._start, end) as body:
            try:
                for frame in pd.read_csv(
                    io.BufferedReader(body, _BLOCK // 8),
                    sep=self._separator,
                    # The line put first is the header, so that rows may have one cell too many;
                    # the file's own header is skipped.
                    header=0,
                    skiprows=range(1, self._records + 1),
                    names=names,
                    usecols=list(columns),
                    index_col=False,
                    dtype=kind,
                    na_filter=False,  # "NA" and "null" stay as they were written
                    skip_blank_lines=False,
                    low_memory=False,
                    encoding=self._encoding,
                    chunksize=rows,
                ):
                    self.position = body.tell()
                    yield frame
            except pd.errors.EmptyDataError:
                raise DataError(f"data file '{self.path}' has a header and no rows") from None
            except pd.errors.ParserError as error:
                raise DataError(f"data file '{self.path}' cannot be read as CSV: {error}") from None


class ParquetStream(TableStream):
    """A Parquet file, read in batches within its row groups; an index that pandas stored is a
    column like any other."""

    kind = "Parquet"

    def __init__(self, path: Path) -> None:
        with _readable_parquet(path), pq.ParquetFile(path) as file:
            columns, size = file.schema_arrow.names, file.metadata.num_rows
        super().__init__(path, columns, size)

    def head(self) -> pd.DataFrame:
        """The first rows, every column."""
        return next(self._pieces(self.columns, ROWS_TO_LOOK_AT), pd.DataFrame(columns=self.columns))

    def _pieces(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        # Without pre-buffering a row group's columns are read bit by bit, not each as a whole.
        with (
            _readable_parquet(self.path),
            pq.ParquetFile(self.path, pre_buffer=False, buffer_size=_BLOCK) as file,
        ):
            for batch in file.iter_batches(rows, columns=list(columns)):
                self.position += len(batch)
                table = pa.Table.from_batches([batch]).select(list(columns))
                yield table.to_pandas(ignore_metadata=True, types_mapper=_exact)


@contextmanager
def _readable_parquet(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"data file '{path}' cannot be read as Parquet: {reason}") from None


class _Body(io.RawIOBase):
    """`first`, then the bytes of `file` from `start` to `end`."""

    def __init__(self, file: io.BufferedReader, first: bytes, start: int, end: int) -> None:
        self._file, self._first, self._end = file, first, end
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._first:
            part, self._first = self._first[: len(buffer)], self._first[len(buffer) :]
        else:
            part = self._file.read(max(0, min(len(buffer), self._end - self._file.tell())))
        buffer[: len(part)] = part
        return len(part)

    def tell(self) -> int:
        """How far in the file reading has come, in bytes."""
        return self._file.tell()


def open_table(path: Path | str) -> TableStream:
    """Open a CSV or Parquet file; raises DataError when it is missing or no such file."""
    path = Path(path)
    require_file(path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        return CsvStream(path)
    if suffix == ".parquet":
        return ParquetStream(path)
    raise DataError(f"data file '{path}' is '{path.suffix}'; a .csv or .parquet file is needed")


def _exact(kind: pa.DataType) -> pd.ArrowDtype | None:
    """Types that pandas' own would change: times lose their unit, whole numbers with nulls their
    exactness."""
    kept = pa.types.is_temporal(kind) or pa.types.is_integer(kind)
    return pd.ArrowDtype(kind) if kept else None


def _encoding(path: Path) -> str:
    """The encoding of the whole file: one wrong byte near its end must not be found only there."""
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    for encoding in ENCODINGS:
        try:
            with path.open(encoding=encoding, newline="") as text:
                while text.read(_BLOCK):
                    pass
        except UnicodeDecodeError:
            continue
        if encoding == "cp932":
            logger.warning("data file '%s' is not UTF-8; it was read as %s", path, encoding)
        return encoding
    raise DataError(f"data file '{path}' is neither UTF-8 nor Shift JIS text; save it as UTF-8")


def _end_of_rows(path: Path, separator: str, wide: bool) -> int:
    """Where the last row ends, in bytes: blank lines at the end of a file are no rows.

    `wide` text has two bytes a character.
    """
    blank = _BLANK + separator.encode()
    size = end = path.stat().st_size
    with path.open("rb") as file:
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            filled = len(file.read(end - start).rstrip(blank))
            end = start + filled
            if filled:
                break
        file.seek(end)
        end += len(file.readline())
    return min(size, end + end % 2 if wide else end)
