"""Parquet: a file with a column for each sensor in, one with the columns `score` and `status` out.

A file says at its end where its columns are, so it is kept on disk until it is whole.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from kizashi.runtime.contract import DataContract
from serving.formats.arrow import (
    BROKEN,
    SCHEMA,
    VALUES_AT_ONCE,
    array_of,
    batch_of,
    malformed,
    sensor_columns,
)
from serving.formats.rows import FloatArray
from serving.http.spool import Spool
from serving.verdicts.scoring import Judged

BUFFER_BYTES = 256 * 1024
ROWS_IN_GROUP = 2**18


class ParquetReader:
    """Keeps the file, and reads its sensors' columns piece by piece."""

    def __init__(self, contract: DataContract, charset: str) -> None:
        self._contract = contract
        self._spool = Spool()

    def feed(self, block: bytes) -> Iterator[FloatArray]:
        self._spool.write(block)
        return iter(())

    def finish(self) -> Iterator[FloatArray]:
        try:
            source = pa.BufferReader(pa.py_buffer(self._spool.map()))
            with pq.ParquetFile(source, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
                sensor_columns(file.schema_arrow, self._contract)
                yield from self._pieces(file)
        except BROKEN as error:
            raise malformed("a Parquet file", error) from error

    def _pieces(self, file: pq.ParquetFile) -> Iterator[FloatArray]:
        names, row = list(self._contract.names), 0
        size = max(1, VALUES_AT_ONCE // len(names))
        for batch in file.iter_batches(size, columns=names, use_threads=False):
            piece = [batch.column(name) for name in names]
            rows_NF = array_of(piece, self._contract, row)
            row += len(rows_NF)
            yield rows_NF
            self._spool.forget()

    def close(self) -> None:
        self._spool.close()


class ParquetWriter:
    """A file with a row group for every so many rows; null where a row has no verdict."""

    def __init__(self, spool: Spool) -> None:
        self._file = pq.ParquetWriter(spool, SCHEMA)
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, judged: Judged) -> None:
        self._held.append(batch_of(judged))
        self._rows += len(judged.score_N)
        if self._rows >= ROWS_IN_GROUP:
            self._write_group()

    def finish(self) -> None:
        self._write_group()
        self._file.close()

    def _write_group(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_batches(self._held, SCHEMA))
        self._held, self._rows = [], 0

    def close(self) -> None:
        self._held = []
        self._file.is_open = False  # or its end would be written when nobody waits for it
