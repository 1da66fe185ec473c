"""From the start of a process to its first good answer, in turn with an empty application that also
loads FastAPI and ONNX Runtime. The bundle is cached, as it is whenever a service starts again; all
cores are free for the process. What it holds is looked at when all of it is there: this service
brings in its pages and its history after it is ready."""

import time
from collections.abc import Iterator

from bench.serving.bench import Bench, said
from bench.serving.peers import OURS, PEERS
from bench.serving.peers.plain import EmptyFastapiOnnx
from bench.serving.processes import Cores, memory
from bench.serving.records import Figure, failed, figures

MEASURE = "starts"
PAGE = "/docs"
"""Both have it."""
SETTLED_SECONDS = 1.0
COMPARED = (OURS, EmptyFastapiOnnx.name)


def measure(bench: Bench) -> Iterator[Figure]:
    """The first start of each fills caches and does not count."""
    for turn in range(bench.settings.starts + 1):
        for name in COMPARED:
            try:
                with bench.serving(PEERS[name], Cores.shared()) as server:
                    bench.require_right(server)
                    server.ask("GET", PAGE, headers=server.peer.headers(server.place))
                    time.sleep(SETTLED_SECONDS)
                    held = memory(server.processes())
            except Exception as error:
                said(f"starts: {name} failed: {error}")
                yield failed(MEASURE, name, error)
                continue
            said(f"starts: {turn} {name}: {server.start_seconds:.2f} s")
            found = {
                "start_s": server.start_seconds,
                "start_cpu_s": server.start_cpu_seconds,
                "worker_mib": held.largest,
                "pss_mib": held.proportional,
            }
            if turn:
                yield from figures(MEASURE, name, found, round=turn)
