"""Rows a second for as long as the queue before the database could not hide that it lags.

A minute at full speed has more rows than the queue has places several times over: what is answered
and not dropped has to be written meanwhile.
"""

import time
from collections.abc import Iterator

from bench.history.bench import STORES, Bench, Store, rows_of, settled
from bench.serving.bench import said
from bench.serving.processes import cpu_seconds, tree
from bench.serving.records import Figure, failed, figures
from bench.serving.server import Server

MEASURE = "sustained"
WARM_UP_SECONDS = 1.0


def measure(bench: Bench) -> Iterator[Figure]:
    """Each database in turn."""
    for kind in STORES:
        try:
            with bench.store(kind) as store, bench.serving(store.address) as server:
                found = _sustained(bench, server, store)
        except Exception as error:  # no PostgreSQL here, or a service that gives up
            said(f"{MEASURE}: {kind}: failed: {error}")
            yield failed(MEASURE, kind, error)
            continue
        said(
            f"{MEASURE}: {kind}: {found['per_second']:.0f} requests/s, {found['cpu_us']:.0f} µs "
            f"CPU, {found['written']:.0f} rows written, {found['dropped']:.0f} dropped"
        )
        yield from figures(MEASURE, kind, found)


def _sustained(bench: Bench, server: Server, store: Store) -> dict[str, float]:
    settings, requests = bench.settings, bench.requests(server, anomalies=True)
    warm = server.load(requests, WARM_UP_SECONDS, settings.connections)
    before = settled(server, warm["requests"] - warm["failures"])
    cpu, of_database = sum(server.cpu().values()), _database_cpu(store)
    found = server.load(requests, settings.sustained_seconds, settings.connections)
    ended, answered = time.perf_counter(), found["requests"] - found["failures"]
    at_end = rows_of(server)
    after = settled(server, sum(before.values()) + answered)
    lag = time.perf_counter() - ended
    used = sum(server.cpu().values()) - cpu
    written = after["written"] - before["written"]
    return {
        "seconds": found["seconds"],
        "answered": answered,
        "failures": found["failures"],
        "per_second": found["per_second"],
        "p50_us": found["p50_us"],
        "p99_us": found["p99_us"],
        "written": written,
        "dropped": after["dropped"] - before["dropped"],
        "waiting_at_end": sum(after.values()) - sum(at_end.values()),
        "drained_seconds": lag,
        "written_per_second": written / (found["seconds"] + lag),
        "cpu_us": used / answered * 1e6,
        "database_cpu_us": (_database_cpu(store) - of_database) / answered * 1e6,
    }


def _database_cpu(store: Store) -> float:
    """Seconds of PostgreSQL's processes; SQLite works within the service's own."""
    if store.server is None:
        return 0.0
    return sum(cpu_seconds(tree(store.server.process)).values())
