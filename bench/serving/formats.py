"""Rows as the bodies that clients send to POST /anomaly/batch."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

FloatArray = npt.NDArray[np.float64]
ROWS_OF_A_PIECE = 8192
END_OF_ARROW = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclass(frozen=True)
class Format:
    """`whole` is a body; `pieces` is one of so many rows, made of the same rows again and again."""

    media_type: str
    whole: Callable[[FloatArray, Sequence[str]], bytes]
    pieces: Callable[[FloatArray, Sequence[str], int], Iterator[bytes]] | None = None


def csv(rows_NF: FloatArray, names: Sequence[str]) -> bytes:
    lines = "\n".join(",".join(map(repr, row)) for row in rows_NF.tolist())
    return f"{','.join(names)}\n{lines}\n".encode()


def csv_pieces(rows_NF: FloatArray, names: Sequence[str], count: int) -> Iterator[bytes]:
    yield f"{','.join(names)}\n".encode()
    yield from _again(rows_NF, count, lambda part: csv(part, names).split(b"\n", 1)[1])


def json(rows_NF: FloatArray, names: Sequence[str]) -> bytes:
    return msgspec.json.encode({"instances": rows_NF.tolist()})


def ndjson(rows_NF: FloatArray, names: Sequence[str]) -> bytes:
    return msgspec.json.Encoder().encode_lines(rows_NF.tolist())


def ndjson_pieces(rows_NF: FloatArray, names: Sequence[str], count: int) -> Iterator[bytes]:
    yield from _again(rows_NF, count, lambda part: ndjson(part, names))


def arrow(rows_NF: FloatArray, names: Sequence[str]) -> bytes:
    return b"".join(arrow_pieces(rows_NF, names, len(rows_NF)))


def arrow_pieces(rows_NF: FloatArray, names: Sequence[str], count: int) -> Iterator[bytes]:
    """A stream is a schema, messages and an end: the same message may come many times."""
    schema = _table(rows_NF[:1], names).schema
    opening = _stream(schema).removesuffix(END_OF_ARROW)

    def message(part_NF: FloatArray) -> bytes:
        [batch] = _table(part_NF, names).combine_chunks().to_batches()
        return _stream(schema, batch).removeprefix(opening).removesuffix(END_OF_ARROW)

    yield opening
    yield from _again(rows_NF, count, message)
    yield END_OF_ARROW


def _stream(schema: pa.Schema, *batches: pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue()


def parquet(rows_NF: FloatArray, names: Sequence[str]) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(_table(rows_NF, names), sink)
    return sink.getvalue()


def _table(rows_NF: FloatArray, names: Sequence[str]) -> pa.Table:
    columns = [pa.array(np.ascontiguousarray(column)) for column in rows_NF.T]
    return pa.table(columns, names=list(names))


def _again(
    rows_NF: FloatArray, count: int, encoded: Callable[[FloatArray], bytes]
) -> Iterator[bytes]:
    """Pieces of `rows_NF`, from its first row on as often as it takes; each is encoded once."""
    made: dict[tuple[int, int], bytes] = {}
    start, left = 0, count
    while left:
        take = min(ROWS_OF_A_PIECE, left, len(rows_NF) - start)
        if (start, take) not in made:
            made[start, take] = encoded(rows_NF[start : start + take])
        yield made[start, take]
        left -= take
        start = (start + take) % len(rows_NF)


FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv", csv, csv_pieces),
    "json": Format("application/json", json),
    "ndjson": Format("application/x-ndjson", ndjson, ndjson_pieces),
    "arrow": Format("application/vnd.apache.arrow.stream", arrow, arrow_pieces),
    "parquet": Format("application/vnd.apache.parquet", parquet),
}
