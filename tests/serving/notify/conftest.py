"""A history that alarms are written to, and real receivers: HTTP, SMTP, an MQTT broker."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from serving.alarms.desk import Payload
from serving.history.database import Database, database_url
from serving.history.tables import outbox

NOW = 1_800_000_000_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = database_url("sqlite", tmp_path)
    assert url is not None
    found = Database(url)
    yield found
    found.dispose()


def payload(number: int = 1, **changed: Any) -> Payload:
    """A step of an alarm: the anomaly alarm of press-01 begins."""
    said: dict[str, Any] = {
        "key": f"step-{number}",
        "event": "began",
        "at": NOW,
        "source": "press-01",
        "kind": "anomaly",
        "state": "unacknowledged",
        "before": "normal",
        "priority": "high",
        "alarm_id": 1,
        "audit_id": number,
        "occurrence_id": number,
        "began": NOW,
        "severity": 0.75,
        "score": 9.5,
        "threshold": 2.5,
        "sensor": "vibration",
        "model": "press",
        "version": "3",
    }
    return Payload(**(said | changed))


def put(database: Database, *steps: Payload, created: int = NOW) -> None:
    """Write steps to the outbox, as the writer of the history does."""
    rows = [
        {
            "key": step.key,
            "created": created,
            "event": step.event,
            "source": step.source,
            "payload": msgspec.json.encode(step).decode(),
        }
        for step in steps
    ]
    with database.write() as connection:
        connection.execute(insert(outbox), rows)


@dataclass
class Receiver:
    """An HTTP server that notes what it gets; `status` is what it answers, `hangs` keeps it from
    answering."""

    status: int = 204
    hangs: float = 0.0
    port: int = 0
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def documents(self) -> list[Any]:
        return [json.loads(body) for _, body in self.heard]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(found.hangs)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.heard.append((headers, body))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def until(true: Any, seconds: float = 60.0) -> None:
    """Wait until `true()`, and fail if it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
