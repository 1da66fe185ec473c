"""The attendant as the service runs it: a process, a database, a receiver."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from serving.history.database import Database
from serving.metrics.families import NOTIFICATIONS_SENDING
from serving.notify import figures
from tests.serving.notify.conftest import Receiver, payload, put, until

ROOT = Path(__file__).parents[3]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, receiver: Receiver) -> Iterator[Start]:
    config = tmp_path / "notify.cfg"
    config.write_text(f"maintenance=signed://127.0.0.1:{receiver.port}/?secret_env=HOOK_SECRET\n")
    running: list[subprocess.Popen[str]] = []

    def starter(*arguments: str, **settings: str) -> subprocess.Popen[str]:
        environment = os.environ | {
            "HOOK_SECRET": "whsec_" + base64.b64encode(b"of the test").decode(),
            "KIZASHI_CACHE": str(tmp_path),
            "KIZASHI_LOG_FORMAT": "text",
            "KIZASHI_NOTIFY_CONFIG": str(config),
        }
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "serving.attendant", *arguments],
                cwd=ROOT,
                env=environment | settings,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return running[-1]

    yield starter
    for process in running:
        process.kill()
        process.communicate()


def test_what_the_history_has_written_is_sent(
    start: Start, database: Database, receiver: Receiver
) -> None:
    put(database, payload(1), created=_now())
    start()
    until(lambda: receiver.heard)
    (document,) = receiver.documents()
    assert (document["event"], document["source"]) == ("began", "press-01")


def test_killed_while_a_receiver_hangs_it_sends_again_with_the_same_key(
    start: Start, database: Database, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answers.clear()
    put(database, payload(1), created=_now())
    first = start()
    until(lambda: receiver.asked)
    first.send_signal(signal.SIGKILL)
    first.wait()
    killed = time.monotonic()
    receiver.answers.set()
    start()
    until(lambda: (left := _left(tmp_path)) is not None and left.ticks > killed)
    told = _left(tmp_path)
    assert told is not None
    # It did not wait for the lease of the one before it, which lasts.
    assert told.gauges[NOTIFICATIONS_SENDING.name] == [((), 1.0)]
    until(lambda: _sent(database))
    until(lambda: len(receiver.heard) == 2)
    keys = [headers["idempotency-key"] for headers, _ in receiver.heard]
    assert len(set(keys)) == 1


def test_a_receiver_that_recovers_gets_everything(
    start: Start, database: Database, receiver: Receiver
) -> None:
    receiver.status = 500
    start()
    put(database, payload(1), payload(2, event="ended", state="normal"), created=_now())
    until(lambda: len(receiver.heard) >= 1)
    receiver.status = 200
    until(lambda: _sent(database) == 2)
    events = [document["event"] for document in receiver.documents()]
    assert events[-2:] == ["began", "ended"]


def test_the_test_button_says_what_became_of_the_message(start: Start, receiver: Receiver) -> None:
    process = start("--test", "maintenance")
    told, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert told.startswith("signed webhook ") and told.endswith(": sent\n")
    assert receiver.documents()[0]["event"] == "test"
    receiver.status = 404
    process = start("--test", "maintenance")
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "NOT sent" in told and "404" in told


def test_a_tag_that_nobody_has_is_an_error(start: Start) -> None:
    process = start("--test", "nobody")
    _, told = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "no channel has the tag 'nobody'; there are maintenance" in told


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("KIZASHI_NOTIFY_CONFIG", "/nowhere/notify.yml", "no file is"),
        ("KIZASHI_DATABASE_URL", "none", "need the history"),
    ],
)
def test_it_does_not_start_without_what_it_needs(
    start: Start, setting: str, value: str, told: str
) -> None:
    process = start(**{setting: value})
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert told in said


def test_the_service_does_not_start_with_a_configuration_that_cannot_be_used(
    tmp_path: Path,
) -> None:
    config = tmp_path / "notify.cfg"
    config.write_text("maintenance=nosuch://somewhere\n")
    settings = {"KIZASHI_NOTIFY_CONFIG": str(config), "KIZASHI_CACHE": str(tmp_path)}
    asked = subprocess.run(
        [sys.executable, "-m", "serving", "--check"],
        cwd=ROOT,
        env=os.environ | settings | {"KIZASHI_PORT": "8976"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    assert asked.stderr.startswith(f"KIZASHI_NOTIFY_CONFIG: {config}: ")
    assert "nosuch" in asked.stderr


def _left(folder: Path) -> figures.Figures | None:
    """What the process that sends left last."""
    file = folder / figures.FILE
    return (
        msgspec.msgpack.decode(file.read_bytes(), type=figures.Figures) if file.exists() else None
    )


def _now() -> int:
    return round(time.time() * 1e6)


def _sent(database: Database) -> int:
    return _count(database, "state = 'sent'")


def _count(database: Database, condition: str) -> int:
    with database.read() as connection:
        found = connection.exec_driver_sql(f"SELECT count(*) FROM deliveries WHERE {condition}")
        return int(found.scalar_one())
