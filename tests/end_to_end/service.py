"""The service as a process, and clients of it."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

from tests.end_to_end.checkout import started

START_SECONDS = 120
PROMISED_SECONDS = 10
"""From a promotion to the answers of the promoted version."""


class Answer(NamedTuple):
    """A JSON answer, and the version of the model that gave it."""

    content: Any
    version: str | None


class Service(NamedTuple):
    """A running HTTP service."""

    address: str
    process: Popen[str]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, content: Mapping[str, Any]) -> Answer:
        """POST `content` over a connection of its own; raises OSError when it is not answered."""
        body, headers = json.dumps(content).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(json.load(answer), answer.headers["X-Model-Version"])

    def version(self) -> str | None:
        """The version that answers now."""
        return self.post("/anomaly", {"values": [1.2, 0.9, 1.1]}).version

    def wait(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait until `true`; fails with the service's log."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, f"the service has ended:\n{self.log}"
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.log}"
            time.sleep(0.05)

    def answers(self, path: str) -> bool:
        """Whether a GET is answered with 200."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=30):
                return True
        except OSError:
            return False


@contextmanager
def service(
    command: tuple[str, ...], folder: Path, environment: Mapping[str, str], port: int, ready: str
) -> Iterator[Service]:
    """`command`, once it answers GET `ready`."""
    log_file = folder.with_name(f"{folder.name}-{port}.log")  # outside: a checkout stays clean
    with (
        log_file.open("w") as log,
        started(command, folder, dict(environment), log.fileno()) as process,
    ):
        running = Service(f"http://127.0.0.1:{port}", process, log_file)
        running.wait(lambda: running.answers(ready), START_SECONDS)
        yield running
        process.terminate()  # Ctrl-C is ignored where CI runs this in the background
        process.wait(30)


@contextmanager
def traffic(running: Service) -> Iterator[list[str | None]]:
    """A client that posts without a pause, and the versions that answered it; a request that is
    not answered fails the test."""
    answered: list[str | None] = []
    lost: list[Exception] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                answered.append(running.version())
            except (OSError, ValueError) as error:
                lost.append(error)

    client = threading.Thread(target=send)
    client.start()
    try:
        yield answered
    finally:
        stop.set()
        client.join()
    assert lost == [], running.log
    assert answered != []
