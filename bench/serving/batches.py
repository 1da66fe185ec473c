"""Many rows in one request, by format, beside the detector on arrays in memory and a parser alone.

Rows a second are of CPU time throughout, so that what else runs on the machine has little say; on a
quiet machine they are those of the clock, on one core."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bench.serving.bench import Bench, said
from bench.serving.formats import FORMATS
from bench.serving.model import simulated_rows
from bench.serving.peers import OURS, PEERS
from bench.serving.peers.peer import APPS, IMPORTS
from bench.serving.processes import Cores, on_cores
from bench.serving.records import Figure, failed, figures
from bench.serving.server import ONE_THREAD, NotServing, Server

MEASURE = "batches"
PATH = "/anomaly/batch"
MEMORY, PARSER = "in_memory", "parser"
NO_LIMIT = {"KIZASHI_MAX_BODY_BYTES": str(2**40), "KIZASHI_MAX_STREAM_BYTES": str(2**40)}


def measure(bench: Bench) -> Iterator[Figure]:
    """Everything in turn, in each round."""
    rows_NF = simulated_rows(bench.settings.batch_rows, len(bench.names), 3)
    bodies = {name: one.whole(rows_NF, bench.names) for name, one in FORMATS.items()}
    folder = bench.work / "batches"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "rows.npy", rows_NF)
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    try:
        python = bench.environments.python_of("arrow")
        with bench.serving(PEERS[OURS], python=python, settings=NO_LIMIT) as server:
            for name, one in FORMATS.items():  # what a first request loads does not count
                list(posted(server, name, one.whole(rows_NF[:10], bench.names), 10, 0))
            for turn in bench.few_rounds:
                for name, seconds in alone(bench, python, folder).items():
                    server_name = MEMORY if name == "memory" else PARSER
                    found = {"rows_per_second": len(rows_NF) / seconds}
                    variant = "" if name == "memory" else name
                    yield from figures(MEASURE, server_name, found, variant, turn)
                for name, body in bodies.items():
                    yield from posted(server, name, body, len(rows_NF), turn)
    except Exception as error:
        said(f"batches: failed: {error}")
        yield failed(MEASURE, OURS, error)


def alone(bench: Bench, python: Path, folder: Path) -> Mapping[str, float]:
    """Seconds of the detector and of each parser, in a process like the service's."""
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        **ONE_THREAD,
        "PYTHONPATH": IMPORTS,
        "BENCH_BUNDLE": str(bench.bundle.folder),
    }
    command = [str(python), "-m", f"{APPS}.in_memory", str(folder / "rows.npy"), str(folder)]
    with on_cores(Cores.split().server):
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotServing(f"apps/in_memory.py ended with: {done.stderr.strip()[-300:]}")
    found: dict[str, float] = json.loads(done.stdout)
    said(f"batches: in memory {found['memory']:.2f} s of CPU")
    return found


def posted(server: Server, name: str, body: bytes, rows: int, turn: int) -> Iterator[Figure]:
    """One request with all rows."""
    kind = FORMATS[name].media_type
    headers = {"Content-Type": kind, "Accept": kind, **server.peer.headers(server.place)}
    before, started = sum(server.cpu().values()), time.perf_counter()
    try:
        with on_cores(server.cores.client):
            server.ask("POST", PATH, body, headers)
    except NotServing as error:
        said(f"batches: {name}: {error}")
        yield failed(MEASURE, OURS, error, name)
        return
    seconds = time.perf_counter() - started
    used = sum(server.cpu().values()) - before
    said(f"batches: {name}: {used:.2f} s of CPU, {seconds:.2f} s")
    found = {
        "rows_per_second": rows / max(used, 1e-9),
        "rows_per_second_by_the_clock": rows / seconds,
    }
    yield from figures(MEASURE, OURS, found, name, turn)
