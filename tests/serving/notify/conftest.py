"""A history that alarms are written to, and real receivers: HTTP, SMTP, an MQTT broker."""

import asyncio
import base64
import json
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import insert

from bench.ports import reserved
from serving.alarms.desk import Payload
from serving.history.database import Database, database_url
from serving.history.tables import outbox
from serving.notify.channels import Channel, read_channels
from tests.system import program

NOW = 1_800_000_000_000_000
SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or so").decode()

Read = Callable[..., list[Channel]]


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
            "occurrence_id": step.occurrence_id,
            "payload": msgspec.json.encode(step).decode(),
        }
        for step in steps
    ]
    with database.write() as connection:
        connection.execute(insert(outbox), rows)


@dataclass
class Receiver:
    """An HTTP server that notes what it gets; `status` is what it answers, once it `answers`, as
    it does at first."""

    status: int = 204
    answers: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    asked: int = 0
    """Requests that came, also those that were not answered yet."""
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def documents(self) -> list[Any]:
        return [json.loads(body) for _, body in self.heard]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked += 1
            found.answers.wait()
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
    found.answers.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """The channels of a configuration of these lines."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    opened: list[Channel] = []

    def reader(*lines: str) -> list[Channel]:
        file = tmp_path / "notify.cfg"
        file.write_text("\n".join(lines) + "\n")
        opened.extend(read_channels(file))
        return opened

    yield reader
    for channel in opened:
        channel.close()


class Mailbox:
    """What a real SMTP server has taken; while it `hangs` it takes connections and says nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[Any] = []
        self.hangs = False

    async def handle_EHLO(
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        while self.hangs:
            await asyncio.sleep(0.05)
        return responses

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with reserved() as port:
        found = Mailbox(port)
        controller = Controller(found, hostname="127.0.0.1", port=port, ready_timeout=60)
        controller.start()
        yield found
        found.hangs = False
        controller.stop()


class Broker:
    """A real MQTT broker, which keeps nothing when it is started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self._program = program("mosquitto", "/usr/sbin/mosquitto")
        self.port = port
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        )
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", self._config], stderr=subprocess.DEVNULL
        )
        until(lambda: listens(self.port))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Connections are still made, by the system, and nobody says a word."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with reserved() as port:  # also while it is stopped
        made = Broker(tmp_path, port)
        yield made
        made.stop()


@dataclass(frozen=True)
class Heard:
    topic: str
    text: str
    retained: bool


@dataclass
class LineListener:
    """What the gateway of a line hears below `plant`, also after the broker was away."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    subscribed: int = 0
    _marks: int = 0

    def __post_init__(self) -> None:
        self._own = f"own/{uuid.uuid4().hex}"
        self._client = client = Client(CallbackAPIVersion.VERSION2)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        until(lambda: self.subscribed)

    def hear_all(self) -> None:
        """Wait for all that the broker has for this listener now, which comes in order."""
        marks = self._marks
        self._client.publish(self._own, qos=1)
        until(lambda: self._marks > marks)

    def statuses(self) -> list[str]:
        return [one.text for one in self.heard if one.topic == "plant/status"]

    def documents(self, last: str) -> list[Any]:
        """Those whose topic ends so."""
        return [json.loads(one.text) for one in self.heard if one.topic.endswith(f"/{last}")]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, *_: Any) -> None:
        client.subscribe([("plant/#", 1), (self._own, 1)])

    def _on_subscribe(self, *_: Any) -> None:
        self.subscribed += 1

    def _on_message(self, _client: Client, _data: Any, got: MQTTMessage) -> None:
        if got.topic == self._own:
            self._marks += 1
        else:
            self.heard.append(Heard(got.topic, got.payload.decode(), got.retain))


@pytest.fixture
def line(broker: Broker) -> Iterator[LineListener]:
    made = LineListener(broker.port)
    yield made
    made.close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Where nobody listens."""
    with reserved() as port:
        yield port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(true: Any, seconds: float = 180.0) -> None:
    """Wait until `true()`, and fail if it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
