"""From the request whose anomaly begins an alarm to the notification's arrival at a receiver.

The receiver is a real HTTP server behind the signed webhook. Each alarm is one of a source of its
own, and they come at odd moments: what looks for work every so often is met at any point of that.
"""

import json
import threading
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from bench.history.bench import STORES, Bench
from bench.serving.bench import said
from bench.serving.records import Figure, failed, figures
from bench.serving.server import NotServing, Server

MEASURE = "notified"
RULES = "default: {warm_up: {seconds: 0}}\n"
BEGINS = 3
"""Anomalies in a row that begin an alarm, by the default rule."""
APART_SECONDS = (0.05, 0.35)
ARRIVES_SECONDS = 60.0
SECRET = {"BENCH_SECRET": "whsec_a2l6YXNoaS1iZW5jaC1zZWNyZXQtb2YtMzItYnl0ZXM="}


class Receiver(ThreadingHTTPServer):
    """`arrived` says when the beginning of each source's alarm came, by time.perf_counter."""

    daemon_threads = True

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def wait_for(self, wanted: Set[str]) -> None:
        """Until the alarms of these sources have come; raises NotServing when they do not."""
        until = time.monotonic() + ARRIVES_SECONDS
        while missing := wanted - self.arrived.keys():
            if time.monotonic() > until:
                raise NotServing(f"{len(missing)} of {len(wanted)} notifications have not arrived")
            time.sleep(0.05)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        now = time.perf_counter()
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if told["event"] == "began":
            self.server.arrived.setdefault(told["source"], now)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that answers."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def measure(bench: Bench) -> Iterator[Figure]:
    """Each database in turn."""
    for kind in STORES:
        try:
            with bench.store(kind) as store, receiving() as receiver:
                settings = _settings(bench.served.work / "notified", receiver)
                with bench.serving(store.address, **settings) as server:
                    took_N = _alarms(bench, server, receiver)
        except Exception as error:
            said(f"{MEASURE}: {kind}: failed: {error}")
            yield failed(MEASURE, kind, error)
            continue
        found = {
            "alarms": float(len(took_N)),
            **{f"p{share}_ms": float(np.percentile(took_N, share)) for share in (50, 99)},
            "worst_ms": float(max(took_N)),
        }
        said(f"{MEASURE}: {kind}: {found}")
        yield from figures(MEASURE, kind, found)


def _settings(folder: Path, receiver: Receiver) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    channels, rules = folder / "channels.conf", folder / "rules.yaml"
    address = f"signed://127.0.0.1:{receiver.server_address[1]}/alarms?secret_env=BENCH_SECRET"
    channels.write_text(f"maintenance={address}\n")
    rules.write_text(RULES)
    return {
        "KIZASHI_NOTIFY_CONFIG": str(channels),
        "KIZASHI_ALARM_RULES": str(rules),
        **SECRET,
    }


def _alarms(bench: Bench, server: Server, receiver: Receiver) -> list[float]:
    """How long each took, in milliseconds; raises NotServing for one that never came."""
    headers = {"Content-Type": "application/json", **server.peer.headers(server.place)}

    def begin(source: str) -> float:
        body = json.dumps({"values": bench.anomalous, "source": source}).encode()
        for _ in range(BEGINS):
            sent = time.perf_counter()
            server.ask("POST", "/anomaly", body, headers)
        return sent

    begin("first")  # the process that sends may still be starting
    receiver.wait_for({"first"})
    rng = np.random.default_rng(0)
    began: dict[str, float] = {}
    for number in range(bench.settings.alarms):
        source = f"press-{number:03}"
        began[source] = begin(source)
        time.sleep(rng.uniform(*APART_SECONDS))
    receiver.wait_for(began.keys())
    return [1e3 * (receiver.arrived[source] - sent) for source, sent in began.items()]
