"""Arrow: an IPC stream of record batches in, one with the columns `score` and `status` out.

The stream is kept on disk until it is whole: record batches may be of any size, and a file can be
looked into without being in memory. Compressed streams are refused like any compressed body: what
they unpack to is bounded by nothing.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract
from serving.errors import MalformedBody, WrongMediaType
from serving.formats.rows import FloatArray, checked, columns, unusable
from serving.http.spool import Spool
from serving.verdicts.scoring import Judged

VALUES_AT_ONCE = 2**18
BROKEN = (pa.ArrowException, OSError, ValueError, struct.error)
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
SCHEMA = pa.schema([("score", pa.float64()), ("status", pa.string())])
WORDS = pa.array(["normal", "anomaly"])


class ArrowReader:
    """Keeps the stream, and reads its sensors' columns piece by piece."""

    def __init__(self, contract: DataContract, charset: str) -> None:
        self._contract = contract
        self._spool = Spool()

    def feed(self, block: bytes) -> Iterator[FloatArray]:
        self._spool.write(block)
        return iter(())

    def finish(self) -> Iterator[FloatArray]:
        stream = pa.py_buffer(self._spool.map())
        try:
            _refuse_compressed(stream)
            with ipc.open_stream(stream) as batches:
                at = sensor_columns(batches.schema, self._contract)
                for rows_NF in _pieces(batches, at, self._contract):
                    yield rows_NF
                    self._spool.forget()
        except BROKEN as error:
            raise malformed("an Arrow stream", error) from error

    def close(self) -> None:
        self._spool.close()


def malformed(what: str, error: Exception) -> MalformedBody:
    """What Arrow says of a body that it cannot read."""
    return MalformedBody(f"the body is not {what}: {str(error)[:200]}")


def _pieces(
    batches: ipc.RecordBatchStreamReader, at: Sequence[int], contract: DataContract
) -> Iterator[FloatArray]:
    row, size = 0, max(1, VALUES_AT_ONCE // len(at))
    for batch in batches:
        for column in at:
            batch.column(column).validate()  # what comes from outside may lie about its length
        for start in range(0, len(batch), size):
            piece = [batch.column(column).slice(start, size) for column in at]
            rows_NF = array_of(piece, contract, row)
            row += len(rows_NF)
            yield rows_NF


def sensor_columns(schema: pa.Schema, contract: DataContract) -> list[int]:
    """Which columns the sensors are; raises InvalidRow for one that is not there or not numbers."""
    at = columns(schema.names, contract)
    problems = [
        Problem(f"sensor '{sensor.name}' has the type {schema.types[column]}; {sensor.wanted}")
        for sensor, column in zip(contract.sensors, at, strict=True)
        if not _numeric(schema.types[column])
    ]
    if problems:
        raise InvalidRow(problems)
    return at


def _numeric(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_null(kind)
    )


def array_of(piece: Sequence[pa.Array], contract: DataContract, start: int) -> FloatArray:
    """One array a sensor as rows, shape (N, F), the first of them being row `start`; null and NaN
    are missing values. Raises InvalidRow."""
    rows_NF = np.empty((len(piece[0]), len(piece)))
    numbers = [array.cast(pa.float64(), safe=False) for array in piece]
    for index, array in enumerate(numbers):
        rows_NF[:, index] = array.to_numpy(zero_copy_only=False)
    if not unusable(rows_NF, contract).any():
        return rows_NF
    rows: list[Any]
    if contract.most_missing:
        readings = rows_NF.astype(object)
        readings[np.isnan(rows_NF)] = None
        rows = readings.tolist()
    else:  # null is refused as null, and NaN as NaN
        rows = list(zip(*(array.to_pylist() for array in numbers), strict=True))
    return checked(rows, contract, start)


def _refuse_compressed(stream: pa.Buffer) -> None:
    """Raise WrongMediaType for a stream with a compressed record batch."""
    for message in ipc.MessageReader.open_stream(stream):
        if message.type in ("record batch", "dictionary") and _compressed(message):
            raise WrongMediaType("the Arrow stream is compressed; an uncompressed one is needed")


def _compressed(message: ipc.Message) -> bool:
    """Whether the message's flatbuffer has `RecordBatch.compression` (Arrow's Message.fbs)."""
    metadata = memoryview(message.metadata)
    batch = _table(metadata, _field(metadata, struct.unpack_from("<I", metadata)[0], 2))
    if message.type == "dictionary":
        batch = _table(metadata, _field(metadata, batch, 1))
    return _field(metadata, batch, 3) is not None


def _field(metadata: memoryview, table: int, number: int) -> int | None:
    """Where a flatbuffer table has its field with this number, None where it has none."""
    entries = table - struct.unpack_from("<i", metadata, table)[0]
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", metadata, entries)[0]:
        return None
    offset: int = struct.unpack_from("<H", metadata, entries + slot)[0]
    return table + offset if offset else None


def _table(metadata: memoryview, at: int | None) -> int:
    if at is None:
        raise ValueError("a message without its record batch")
    return at + int(struct.unpack_from("<I", metadata, at)[0])


class ArrowWriter:
    """A stream with a record batch for each piece; null where a row has no verdict."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        spool.write(memoryview(SCHEMA.serialize()))

    def write(self, judged: Judged) -> None:
        self._spool.write(memoryview(batch_of(judged).serialize()))

    def finish(self) -> None:
        self._spool.write(END_OF_STREAM)

    def close(self) -> None: ...


def batch_of(judged: Judged) -> pa.RecordBatch:
    """Verdicts as a record batch."""
    without_N = np.isnan(judged.score_N)
    words = pa.array(judged.anomaly_N.astype(np.int8), mask=without_N)
    scores = pa.array(judged.score_N, mask=without_N)
    return pa.record_batch([scores, WORDS.take(words)], schema=SCHEMA)
