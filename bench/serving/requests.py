"""One row a request: what it costs the server, how many a second, how long each takes.

All servers are started first and take turns, so that a machine that drifts does so for all. CPU
time is of the whole tree of processes: what other work on the machine hardly moves.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

from bench.serving.bench import Bench, said
from bench.serving.peers import OURS
from bench.serving.records import Figure, failed, figures
from bench.serving.server import Server

MEASURE = "requests"
WARM_UP_SECONDS = 1.0
NUMBERS = (
    *(
        "cpu_us",
        "busiest_cpu_us",
        "per_second",
        "p50_us",
        "p99_us",
        "p999_us",
        "worst_us",
        "requests",
        "failures",
    ),
    *("rss_mib", "pss_mib", "worker_mib"),
)


def measure(bench: Bench) -> Iterator[Figure]:
    """A round over all servers at a time."""
    settings = bench.settings
    with ExitStack() as running:
        servers: dict[str, Server] = {}
        for name, peer in bench.peers.items():
            said(f"requests: starting {name}")
            try:
                server = running.enter_context(bench.serving(peer))
                bench.require_right(server)
                server.load(bench.requests(server), WARM_UP_SECONDS, settings.connections)
            except Exception as error:  # whatever keeps a peer from answering is told in the table
                said(f"requests: {name} is left out: {error}")
                yield failed(MEASURE, name, error)
                continue
            servers[name] = server
            yield Figure(MEASURE, name, "start_s", server.start_seconds)
            yield Figure(MEASURE, name, "versions", note=versions(server))
            if name == OURS:
                yield from switched_on(bench, server)
        for turn in range(1, settings.rounds + 1):
            for name, server in servers.items():
                requests = bench.requests(server)
                found = server.load(requests, settings.seconds, settings.connections)
                said(
                    f"requests: round {turn} {name}: {found['cpu_us']:.0f} µs CPU, "
                    f"{found['per_second']:.0f}/s, p99 {found['p99_us'] / 1e3:.2f} ms"
                )
                numbers = {number: float(found[number]) for number in NUMBERS}
                yield from figures(MEASURE, name, numbers, round=turn)
                if found["failures"]:
                    note = "; ".join(found["shown"])[:300]
                    yield Figure(MEASURE, name, "failed_requests", found["failures"], note=note)


def versions(server: Server) -> str:
    """Of the packages that matter, as they are installed."""
    asked = "import sys; from importlib.metadata import version"
    asked += "; print(', '.join(f'{one} {version(one)}' for one in sys.argv[1:]))"
    command = [str(server.place.python), "-I", "-c", asked, *server.peer.packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def switched_on(bench: Bench, server: Server) -> Iterator[Figure]:
    """Whether the service that is measured asks for keys, counts, and keeps verdicts: 1 or 0."""
    body = server.peer.body(bench.rows_NF[0].tolist(), bench.names).encode()
    without_key, _ = server.answer(
        "POST", server.peer.path, body, {"Content-Type": "application/json"}
    )
    metrics, told = server.answer("GET", "/metrics", headers=server.peer.headers(server.place))
    yield Figure(MEASURE, OURS, "keys", float(without_key == 401))
    yield Figure(MEASURE, OURS, "metrics", float(metrics == 200))
    yield Figure(MEASURE, OURS, "history", float(b"kizashi_history_" in told))
