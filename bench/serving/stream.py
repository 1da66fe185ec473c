"""The memory that the service holds while many rows stream through it, and whether it still answers
meanwhile. A request is sent in chunks; its answer is read as it comes and its rows are counted."""

import http.client
import threading
import time
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from bench.serving.batches import NO_LIMIT, PATH
from bench.serving.bench import Bench, said
from bench.serving.formats import FORMATS
from bench.serving.model import simulated_rows
from bench.serving.peers import OURS, PEERS
from bench.serving.processes import forget_peak, memory, on_cores, peak
from bench.serving.records import Figure, failed, figures
from bench.serving.server import NotServing, Server

MEASURE = "stream"
DIFFERENT_ROWS = 65536
LOOK_SECONDS = 0.25
PATIENCE = 3600.0
PIECE = 1 << 20


def measure(bench: Bench) -> Iterator[Figure]:
    """One stream of each format that can be read in pieces."""
    count = bench.settings.stream_rows
    rows_NF = simulated_rows(min(DIFFERENT_ROWS, count), len(bench.names), 4)
    yield Figure(MEASURE, OURS, "rows", count)
    for name, one in FORMATS.items():
        if one.pieces is None:
            continue
        try:
            python = bench.environments.python_of("arrow")
            with bench.serving(PEERS[OURS], python=python, settings=NO_LIMIT) as server:
                bench.require_right(server)
                for process in server.processes():
                    forget_peak(process)
                before = memory(server.processes()).largest
                found = streamed(server, name, one.pieces(rows_NF, bench.names, count), count)
                highest = max(peak(process) for process in server.processes())
        except Exception as error:
            said(f"stream: {name}: {error}")
            yield failed(MEASURE, OURS, error, name)
            continue
        found |= {"before_mib": before, "peak_mib": highest}
        said(f"stream: {name}: {', '.join(f'{key} {value:.1f}' for key, value in found.items())}")
        yield from figures(MEASURE, OURS, found, name)


def streamed(server: Server, name: str, pieces: Iterator[bytes], count: int) -> dict[str, float]:
    """Send all and read all; raises NotServing unless every row has an answer."""
    kind = FORMATS[name].media_type
    headers = {"Content-Type": kind, "Accept": kind, **server.peer.headers(server.place)}
    headers["Transfer-Encoding"] = "chunked"
    line = http.client.HTTPConnection("127.0.0.1", server.place.port, timeout=PATIENCE)
    looks = Looks(server)
    started, before = time.perf_counter(), sum(server.cpu().values())
    with on_cores(server.cores.client), looks:
        line.request("POST", PATH, pieces, headers, encode_chunked=True)
        answer = line.getresponse()
        if answer.status != 200:
            raise NotServing(f"{name} is answered with {answer.status}: {answer.read()[:200]!r}")
        rows = COUNTS[name](answer)
    line.close()
    if rows != count:
        raise NotServing(f"{rows} of {count} rows came back")
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": sum(server.cpu().values()) - before,
        "health_worst_ms": looks.worst * 1e3,
    }


def lines(answer: IO[bytes]) -> int:
    """How many a text has."""
    count = 0
    while piece := answer.read(PIECE):
        count += piece.count(b"\n")
    return count


def arrow_rows(answer: IO[bytes]) -> int:
    with pa.ipc.open_stream(answer) as stream:
        return sum(batch.num_rows for batch in stream)


COUNTS = {"csv": lambda answer: lines(answer) - 1, "ndjson": lines, "arrow": arrow_rows}


class Looks:
    """Asks meanwhile whether the service lives; `worst` is the longest it took, in seconds."""

    def __init__(self, server: Server) -> None:
        self.worst = 0.0
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            started = time.perf_counter()
            self._server.ask("GET", "/health/live")
            self.worst = max(self.worst, time.perf_counter() - started)
