"""What is lost when the worst happens: machines ask on, and what was answered is looked for.

killed    the service is ended by SIGKILL
full      its disk has no room for some seconds (a limit on the size of its files)
stopped   the database stops for some seconds (PostgreSQL)
"""

import resource
import signal
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

from sqlalchemy import select

from bench.history.asking import Asking
from bench.history.bench import POSTGRESQL, SQLITE, STORES, Bench, Store, rows_of, settled
from bench.serving.bench import said
from bench.serving.records import Figure, failed, figures
from bench.serving.server import NotServing, Server
from serving.history.database import Database, database_url
from serving.history.tables import verdicts

MEASURE = "faults"
ROOM = (1024, resource.RLIM_INFINITY)
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
FIRST_SECONDS = 30.0
"""A new database gets its tables before the first anomaly is answered."""
TOLD_SECONDS = 1.0
"""Workers tell what they have counted a few times a second."""

Fault = Callable[[Server, Store, float], None]


def killed(server: Server, _store: Store, _seconds: float) -> None:
    """No warning, under load."""
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def full(server: Server, _store: Store, seconds: float) -> None:
    """Writing fails as on a full disk, then there is room again."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, ROOM)
    time.sleep(seconds)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, UNLIMITED)


def stopped(_server: Server, store: Store, seconds: float) -> None:
    """At once, as if its machine had lost power, then it is back."""
    assert store.server is not None
    store.server.stop()
    time.sleep(seconds)
    store.server.start()


FAULTS: tuple[tuple[str, Fault, str], ...] = (
    *(("killed", killed, kind) for kind in STORES),
    ("full", full, SQLITE),
    ("stopped", stopped, POSTGRESQL),
)


def measure(bench: Bench) -> Iterator[Figure]:
    """One fault after the other, each with a new database."""
    for name, fault, kind in FAULTS:
        try:
            found = _befallen(bench, fault, kind)
        except Exception as error:
            said(f"{MEASURE}: {name}, {kind}: failed: {error}")
            yield failed(MEASURE, kind, error, name)
            continue
        said(
            f"{MEASURE}: {name}, {kind}: of {found['anomalies']:.0f} answered anomalies "
            f"{found['anomalies_lost']:.0f} lost, of {found['normal']:.0f} normal rows "
            f"{found['normal_lost']:.0f}"
        )
        yield from figures(MEASURE, kind, found, name)


def _befallen(bench: Bench, fault: Fault, kind: str) -> dict[str, float]:
    seconds, dropped = bench.settings.fault_seconds, 0
    with bench.store(kind) as store:
        with bench.serving(store.address) as server:
            port, headers = server.place.port, server.peer.headers(server.place)
            rows = (bench.anomalous, bench.normal)
            with Asking(port, *rows, bench.settings.sources, headers) as asking:
                _wait_until_answered(asking)
                time.sleep(seconds)
                fault(server, store, seconds)
                if server.process.poll() is None:
                    time.sleep(seconds)
            if server.process.poll() is None:
                time.sleep(TOLD_SECONDS)
                settled(server, len(asking.anomalies) + len(asking.normal))
                dropped = rows_of(server)["dropped"]
        kept = _kept(bench, store)
    if not (asking.anomalies and asking.normal):
        raise NotServing(f"it answered {len(asking.anomalies)} anomalies")
    return {
        "anomalies": len(asking.anomalies),
        "anomalies_lost": len(set(asking.anomalies) - kept),
        "normal": len(asking.normal),
        "normal_lost": len(set(asking.normal) - kept),
        "normal_counted": dropped,
        "refused": asking.refused[HTTPStatus.SERVICE_UNAVAILABLE],
        "other_answers": sum(asking.refused.values())
        - asking.refused[HTTPStatus.SERVICE_UNAVAILABLE],
    }


def _wait_until_answered(asking: Asking) -> None:
    """A fault before anything was answered could lose nothing."""
    deadline = time.monotonic() + FIRST_SECONDS
    while not (asking.anomalies and asking.normal) and time.monotonic() < deadline:
        time.sleep(0.05)


def _kept(bench: Bench, store: Store) -> set[str]:
    """The request ids in the history."""
    url = database_url(store.address, bench.folder)
    assert url is not None
    database = Database(url)
    try:
        with database.read() as connection:
            return set(connection.execute(select(verdicts.c.request_id)).scalars())
    finally:
        database.dispose()
