"""How fast the detector judges arrays, and parsers read the bodies, with no service around them.

in_memory.py ROWS.npy FOLDER: the bundle comes from BENCH_BUNDLE, the folder holds a body
named after each format; prints the seconds of each as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from bench.serving.apps.verdicts import detector

FloatArray = npt.NDArray[np.float64]


def judged(rows_NF: FloatArray) -> None:
    """Score and verdict of every row."""
    windows_BTF = detector.windows(rows_NF)
    detector.decide(windows_BTF, detector.score(windows_BTF))


def from_csv(body: bytes) -> FloatArray:
    """By the fastest reader at hand, on one thread, copied into rows."""
    table = pyarrow.csv.read_csv(pa.BufferReader(body), pyarrow.csv.ReadOptions(use_threads=False))
    return np.column_stack([column.to_numpy() for column in table.columns])


def from_arrow(body: bytes) -> FloatArray:
    """Copied into rows."""
    table = pa.ipc.open_stream(body).read_all()
    return np.column_stack([column.to_numpy() for column in table.columns])


def from_parquet(body: bytes) -> FloatArray:
    """On one thread, copied into rows."""
    table = pyarrow.parquet.read_table(pa.BufferReader(body), use_threads=False)
    return np.column_stack([column.to_numpy() for column in table.columns])


PARSERS: dict[str, Callable[[bytes], FloatArray]] = {
    "csv": from_csv,
    "json": lambda body: np.array(msgspec.json.decode(body)["instances"]),
    "ndjson": lambda body: np.array(msgspec.json.Decoder(list[float]).decode_lines(body)),
    "arrow": from_arrow,
    "parquet": from_parquet,
}


def seconds(work: Callable[[], object]) -> float:
    """Of CPU time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(rows: Path, folder: Path) -> dict[str, float]:
    """Seconds of the detector, as `memory`, and of each parser."""
    rows_NF: FloatArray = np.load(rows, allow_pickle=False)
    judged(rows_NF[:1000])  # the first run of a session is its slowest
    found = {"memory": seconds(partial(judged, rows_NF))}
    for name, parse in PARSERS.items():
        body = (folder / name).read_bytes()
        assert np.array_equal(parse(body), rows_NF), name
        found[name] = seconds(partial(parse, body))
    return found


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))), flush=True)
    # Where the machine is busy, Arrow's threads for reading now and then abort a process that ends.
    os._exit(0)
