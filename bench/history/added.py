"""What the history adds to the CPU time of a request: with it and without it, in turn.

Once of normal rows, and once with every hundredth an anomaly, whose answer waits for a commit. The
time is read when all rows are written: the writer's work belongs to the requests that made it.
"""

from collections.abc import Iterator

from bench.history.bench import SQLITE, Bench, settled
from bench.serving.bench import said
from bench.serving.records import Figure, failed, figures
from bench.serving.server import Server

MEASURE = "added"
WITH, WITHOUT, DIFFERENCE = "with", "without", "difference"
ANOMALIES = "_anomalies"
"""Ends the names of those of rows with anomalies among them."""
WARM_UP_SECONDS = 1.0


def measure(bench: Bench) -> Iterator[Figure]:
    """A round of both at a time, on two services that stay."""
    try:
        yield from _in_turn(bench)
    except Exception as error:
        said(f"{MEASURE}: failed: {error}")
        yield failed(MEASURE, SQLITE, error)


def _in_turn(bench: Bench) -> Iterator[Figure]:
    settings = bench.settings
    with (
        bench.store(SQLITE) as store,
        bench.serving(store.address) as kept,
        bench.serving("none") as unkept,
    ):
        rows = 0
        for turn in range(settings.rounds + 1):  # the first one warms up
            seconds = settings.seconds if turn else WARM_UP_SECONDS
            for kind in ("", ANOMALIES):
                with_us, rows = _round(bench, kept, seconds, rows, kind)
                without_us, _ = _round(bench, unkept, seconds, None, kind)
                if not turn:
                    continue
                costs = {WITH: with_us, WITHOUT: without_us, DIFFERENCE: with_us - without_us}
                told = ", ".join(f"{cpu_us:.1f} µs {name}" for name, cpu_us in costs.items())
                said(f"{MEASURE}{kind}: round {turn}: {told}")
                for name, cpu_us in costs.items():
                    yield from figures(MEASURE, SQLITE, {"cpu_us": cpu_us}, name + kind, turn)


def _round(
    bench: Bench, server: Server, seconds: float, rows: int | None, kind: str
) -> tuple[float, int]:
    """CPU time a request, in µs, and how many rows the history has heard of in all; `rows` is how
    many it had before, None where there is none."""
    before = sum(server.cpu().values())
    requests = bench.requests(server, anomalies=kind == ANOMALIES)
    found = server.load(requests, seconds, bench.settings.connections)
    heard = (rows or 0) + found["requests"] - found["failures"]
    if rows is not None:
        settled(server, heard)
    used = sum(server.cpu().values()) - before
    return used / max(found["requests"], 1) * 1e6, heard
