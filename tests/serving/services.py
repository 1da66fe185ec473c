"""The service as it runs: `python -m serving` on a free port, over a bundle folder; and an
application on a port of this process."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from uvicorn.server import ServerState

from bench.ports import reserved
from serving.http.connections import COUNTS, Connection
from serving.settings import variable
from serving.verdicts.fast_road import ROAD
from tests.linux import children, command_line

START_SECONDS = 300.0
"""For slow machines: usually it takes a few."""
SERVES = re.compile(r"serving \S+ version ")
"""What each worker logs once it is ready."""
DATE = b"Sat, 31 Jan 2026 08:00:00 GMT"
"""What an application that is `listening` says to all."""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Running(NamedTuple):
    """A service that answers."""

    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body, over a connection of its own."""
        address = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def score(self, values: list[float], **more: str) -> dict[str, Any]:
        """The answer to one row, over a connection of its own."""
        body = json.dumps({"values": values} | more).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/anomaly", body)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def metrics(self) -> Samples:
        return samples(self.get("/metrics")[1])

    def workers(self) -> list[int]:
        """The processes that answer, as Linux shows them: those that the first one spawned."""
        return [pid for pid in children(self.process.pid) if b"spawn_main" in command_line(pid)]


def samples(text: str) -> Samples:
    """Every sample of an exposition, by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of the samples with this name and these labels, and any others."""
    return sum(
        value
        for (one, of), value in found.items()
        if one == name and set(labels.items()) <= set(of)
    )


@contextmanager
def running(
    bundle: Path, folder: Path, *, ready: bool = True, port: int = 0, **settings: object
) -> Iterator[Running]:
    """A service over `bundle` that is ready with all its workers, or at least answers, on this or
    any free port; its cache and log lie in `folder`."""
    with reserved(port) as port, _started(bundle, folder, port, ready, settings) as service:
        yield service


@contextmanager
def _started(
    bundle: Path, folder: Path, port: int, ready: bool, settings: Mapping[str, object]
) -> Iterator[Running]:
    values = {"port": port, "model_uri": bundle, "cache": folder / "cache", "log_format": "json"}
    environment = {variable(name): str(one) for name, one in {**values, **settings}.items()}
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log_file = folder / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            env=os.environ | path | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    service = Running(port, process, log_file)
    try:
        count = int(str(settings.get("workers", 1))) if ready else 0
        wait_until(lambda: process.poll() is not None or _answers(service, count), START_SECONDS)
        assert process.poll() is None, service.log
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(service: Running, ready: int) -> bool:
    """Whether it answers, with so many workers that are ready: each says it of itself alone."""
    try:
        status, _ = service.get("/health/ready" if ready else "/health/live")
    except OSError:
        return False
    return status == 200 and len(SERVES.findall(service.log)) >= ready


def wait_until(happened: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer that comes over a connection."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.headers), response.read()


def keep_alive(service: Running) -> HTTPConnection:
    """A connection for many requests."""
    return HTTPConnection("127.0.0.1", service.port, timeout=30)


class Listening(NamedTuple):
    """An application that answers on a port of this process."""

    port: int
    loop: asyncio.AbstractEventLoop
    connections: set[Connection]

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` in the event loop, and wait for its end."""
        asyncio.run_coroutine_threadsafe(_called(function), self.loop).result(30)


async def _called(function: Callable[[], object]) -> None:
    function()


@contextmanager
def listening(app: FastAPI) -> Iterator[Listening]:
    """`app` behind the service's own connections, without its lifespan: no follower runs."""
    config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None)
    config.load()
    state, shared = ServerState(), {ROAD: app.state.fast_road, COUNTS: app.state.counts}
    state.default_headers = [(b"date", DATE)]
    loop = (config.get_loop_factory() or asyncio.new_event_loop)()

    async def start() -> asyncio.Server:
        def connection() -> Connection:
            return Connection(config=config, server_state=state, app_state=shared)

        return await loop.create_server(connection, "127.0.0.1", 0)

    async def end() -> None:
        server.close()
        for connection in [*state.connections]:
            connection.transport.abort()
        await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        port = server.sockets[0].getsockname()[1]
        yield Listening(port, loop, state.connections)  # type: ignore[arg-type]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
