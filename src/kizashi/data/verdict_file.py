"""Writing verdicts to a file that exists only once it is whole."""

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from kizashi.errors import ConfigurationError, DataError


class VerdictFile:
    """A CSV or Parquet file, by the suffix of `path`, written table by table.

    It grows under another name beside `path` and takes its place when the block ends without an
    error; otherwise it is removed and what stood at `path` stays. Missing folders are made. Raises
    ConfigurationError for another suffix and DataError where nothing can be written.
    """

    def __init__(self, path: Path) -> None:
        self._open = _writer(path)
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._writer: _CsvWriter | _ParquetWriter | None = None

    def __enter__(self) -> Self:
        with _writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        return self

    def write(self, table: pa.Table) -> None:
        """Append rows; every table has the columns of the first."""
        with _writing(self._path):
            if self._writer is None:
                self._writer = self._open(self._file, table.schema)
            self._writer.write(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
            elif self._writer is not None:
                # Left open, it would write once more when it is collected.
                with suppress(Exception):
                    self._writer.close()
        finally:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        with _writing(self._path):
            if self._writer is not None:
                self._writer.close()
            self._file.close()
            self._part.replace(self._path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"'{path}' cannot be written: {reason}") from None


class _CsvWriter:
    """CSV in UTF-8 in which a cell is quoted only in a table where some cell needs it."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file, self._schema = file, schema
        line = _Line()
        csv.writer(line, lineterminator="\n").writerow(schema.names)
        file.write(line.text.encode())

    def write(self, table: pa.Table) -> None:
        special = any(_has_special(column) for column in table.columns)
        options = pyarrow.csv.WriteOptions(
            include_header=False, quoting_style="needed" if special else "none"
        )
        pyarrow.csv.write_csv(table.cast(self._schema), self._file, options)

    def close(self) -> None:
        """Nothing is held back."""


def _has_special(column: pa.ChunkedArray) -> bool:
    """Whether a text may need quotes; a look at the raw bytes is far faster than one at each."""
    if not pa.types.is_string(column.type):
        return False
    texts = [bytes(chunk.buffers()[2] or b"") for chunk in column.chunks]
    return any(mark in text for text in texts for mark in (b'"', b",", b"\r", b"\n"))


class _Line:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class _ParquetWriter:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.cast(self._schema))

    def close(self) -> None:
        self._writer.close()


def _writer(path: Path) -> Callable[[BinaryIO, pa.Schema], _CsvWriter | _ParquetWriter]:
    if path.suffix.lower() == ".csv":
        return _CsvWriter
    if path.suffix.lower() == ".parquet":
        return _ParquetWriter
    raise ConfigurationError(f"output is '{path}'; a name that ends in .csv or .parquet is needed")
