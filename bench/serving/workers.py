"""Two workers beside one.

Each has a quota of a part of a core where the system lets this user set one, so that two have twice
of what one has beside the client too. Otherwise they have the cores that there are, and where there
is none left for the client, twice the requests cannot be expected. Each worker has as many
connections as the one: more clients are what a second worker is for.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench.serving.bench import Bench, said
from bench.serving.peers import OURS, PEERS
from bench.serving.processes import Cores
from bench.serving.quota import limited, root_of
from bench.serving.records import Figure, failed, figures
from bench.serving.requests import NUMBERS, WARM_UP_SECONDS
from bench.serving.server import Server

MEASURE = "workers"
WORKERS = (1, 2)
QUOTA = 0.35
"""Of a core for each worker: two of them and the client fit into two cores."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Both in turn."""
    settings, root = bench.settings, root_of()
    yield Figure(MEASURE, OURS, "cores", len(os.sched_getaffinity(0)))
    if root is not None:
        yield Figure(MEASURE, OURS, "quota", QUOTA)
    cores = Cores.split(of_server=2) if root is None else Cores.shared()
    for turn in bench.few_rounds:
        for workers in WORKERS:
            try:
                with bench.serving(PEERS[OURS], cores, workers=workers) as server:
                    requests = bench.requests(server)
                    connections = settings.connections * workers
                    server.load(requests, WARM_UP_SECONDS, connections)
                    with _quota(root, server, workers):
                        found = server.load(requests, settings.seconds, connections)
            except Exception as error:
                said(f"workers: {workers} failed: {error}")
                yield failed(MEASURE, OURS, error, str(workers))
                continue
            said(f"workers: {workers}: {found['per_second']:.0f}/s, {found['cpu_us']:.0f} µs CPU")
            numbers = {number: float(found[number]) for number in NUMBERS}
            yield from figures(MEASURE, OURS, numbers, str(workers), turn)


def _quota(root: Path | None, server: Server, workers: int) -> AbstractContextManager[None]:
    return nullcontext() if root is None else limited(root, server.processes(), QUOTA * workers)
