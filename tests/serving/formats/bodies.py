"""The same rows in every format, as clients write them, and answers read back from every format."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = ("vibration", "current", "sound")
JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
FORMATS = (JSON, CSV, NDJSON, ARROW, PARQUET)

Row = Sequence[float | None]
Verdicts = tuple[list[float | None], list[str | None]]


def as_json(rows: Sequence[Row]) -> bytes:
    return json.dumps({"instances": rows}).encode()


def as_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    write = csv.writer(text).writerow
    write(("time", "sound", "vibration", "current"))
    for number, (vibration, current, sound) in enumerate(rows):
        write((f"08:{number}, shift 1", sound, vibration, current))
    return text.getvalue().encode()


def as_ndjson(rows: Sequence[Row]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_table(rows: Sequence[Row]) -> pa.Table:
    columns: dict[str, Any] = {
        name: pa.array([row[index] for row in rows], pa.float64())
        for index, name in enumerate(NAMES)
    }
    columns["source"] = pa.array(["press-01"] * len(rows)).dictionary_encode()
    return pa.table(columns).select(["sound", "source", "vibration", "current"])


def as_arrow(rows: Sequence[Row], batch: int | None = 7) -> bytes:
    sink = io.BytesIO()
    table = as_table(rows)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return sink.getvalue()


def as_parquet(rows: Sequence[Row]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(as_table(rows), sink, row_group_size=11)
    return sink.getvalue()


WRITE: dict[str, Callable[[Sequence[Row]], bytes]] = {
    JSON: as_json,
    CSV: as_csv,
    NDJSON: as_ndjson,
    ARROW: as_arrow,
    PARQUET: as_parquet,
}


def read_answer(kind: str, content: bytes) -> Verdicts:
    """Scores and statuses of an answer in the format `kind`."""
    if kind == JSON:
        answer = json.loads(content)
        assert list(answer) == ["scores", "statuses"]
        return answer["scores"], answer["statuses"]
    if kind == CSV:
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        return (
            [float(row["score"]) if row["score"] else None for row in rows],
            [row["status"] or None for row in rows],
        )
    if kind == NDJSON:
        lines = [json.loads(line) for line in content.splitlines()]
        return [line["score"] for line in lines], [line["status"] for line in lines]
    table = pa.ipc.open_stream(content).read_all() if kind == ARROW else _parquet(content)
    return table["score"].to_pylist(), table["status"].to_pylist()


def _parquet(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))
