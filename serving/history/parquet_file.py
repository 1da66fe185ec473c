"""A table as a Parquet file; pyarrow is an extra, so only what needs it imports this."""

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.history.table import Table

KINDS = {"text": pa.string(), "whole": pa.int64(), "real": pa.float64()}


class Sink(io.RawIOBase):
    """What a writer has written since it was last taken; a position that only grows."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """All that is there."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def parquet(table: Table) -> Iterator[bytes]:
    """The file in pieces, a row group for each page."""
    schema = pa.schema([(column.name, KINDS[column.holds]) for column in table.columns])
    sink = Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for page in table.pages():
            columns = zip(*page, strict=True)
            arrays = [
                pa.array(column, type=kind)
                for column, kind in zip(columns, schema.types, strict=True)
            ]
            writer.write_table(pa.table(arrays, schema=schema))
            yield sink.take()
    yield sink.take()
