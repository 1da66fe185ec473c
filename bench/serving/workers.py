"""Two workers beside one, on the same cores. Where the machine has no core left for the client, it
takes part of theirs, and twice the requests cannot be expected."""

import os
from collections.abc import Iterator

from bench.serving.bench import Bench, said
from bench.serving.peers import OURS, PEERS
from bench.serving.processes import Cores
from bench.serving.records import Figure, failed, figures
from bench.serving.requests import NUMBERS, WARM_UP_SECONDS

MEASURE = "workers"
WORKERS = (1, 2)


def measure(bench: Bench) -> Iterator[Figure]:
    """Both in turn."""
    settings = bench.settings
    yield Figure(MEASURE, OURS, "cores", len(os.sched_getaffinity(0)))
    cores = Cores.split(of_server=2)
    for turn in bench.few_rounds:
        for workers in WORKERS:
            try:
                with bench.serving(PEERS[OURS], cores, workers=workers) as server:
                    requests = bench.requests(server)
                    server.load(requests, WARM_UP_SECONDS, settings.connections)
                    found = server.load(requests, settings.seconds, settings.connections)
            except Exception as error:
                said(f"workers: {workers} failed: {error}")
                yield failed(MEASURE, OURS, error, str(workers))
                continue
            said(f"workers: {workers}: {found['per_second']:.0f}/s, {found['cpu_us']:.0f} µs CPU")
            numbers = {number: float(found[number]) for number in NUMBERS}
            yield from figures(MEASURE, OURS, numbers, str(workers), turn)
