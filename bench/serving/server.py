"""One running server: started, waited for, put under load, stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.serving.peers.peer import Peer, Place
from bench.serving.processes import Cores, cpu_seconds, memory, on_cores, tree
from kizashi.errors import KizashiError

Headers = Mapping[str, str]
LOAD = Path(__file__).with_name("load.py")
START_SECONDS = 120.0
STOP_SECONDS = 15.0
PATIENCE = 600.0
LOOK_SECONDS = 0.005
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
NOTHING_REPORTED = {
    "DO_NOT_TRACK": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class NotServing(KizashiError):
    """A server that does not start, or does not answer as it should."""


@dataclass
class Server:
    """A peer as a process, on the cores of servers."""

    peer: Peer
    place: Place
    cores: Cores
    process: subprocess.Popen[bytes] = field(init=False)
    start_seconds: float = field(init=False)
    start_cpu_seconds: float = field(init=False)

    def __enter__(self) -> Self:
        self.place.folder.mkdir(parents=True, exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KIZASHI_", "MLFLOW_", "PYTHON"))
        }
        variables = {**inherited, **ONE_THREAD, **NOTHING_REPORTED}
        variables["PATH"] = f"{self.place.python.parent}{os.pathsep}{os.environ['PATH']}"
        variables |= self.peer.variables(self.place)
        log = self.place.folder / "server.log"
        with log.open("wb") as said, on_cores(self.cores.server):
            started = time.perf_counter()
            self.process = subprocess.Popen(
                self.peer.command(self.place),
                cwd=self.place.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(started, log)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _wait(self, started: float, log: Path) -> None:
        while not self._ready():
            waited = time.perf_counter() - started
            ended = self.process.poll()
            if ended is not None or waited > START_SECONDS:
                what = f"ended with {ended}" if ended is not None else f"not ready in {waited:.0f}s"
                last = " ".join(log.read_text(errors="replace").split())[-300:]
                raise NotServing(f"its server {what}: {last}")
            time.sleep(LOOK_SECONDS)
        self.start_seconds = time.perf_counter() - started
        self.start_cpu_seconds = sum(self.cpu().values())

    def _ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.place.port), timeout=5) as line:
                request = (
                    f"GET {self.peer.ready} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                )
                line.sendall(f"{request}\r\n".encode())
                return line.recv(16)[9:12] == b"200"
        except OSError:
            return False

    def _stop(self) -> None:
        """End the whole session of processes, politely first."""
        for polite in (True, False):
            running = self.process.poll() is None
            if running or not polite:
                try:
                    os.killpg(self.process.pid, signal.SIGTERM if polite else signal.SIGKILL)
                except ProcessLookupError:
                    return
            if polite and running:
                try:
                    self.process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        self.process.wait(STOP_SECONDS)

    def processes(self) -> list[int]:
        return tree(self.process.pid)

    def cpu(self) -> dict[int, float]:
        return cpu_seconds(self.processes())

    def answer(
        self, method: str, path: str, body: bytes | None = None, headers: Headers | None = None
    ) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own; raises NotServing."""
        line = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=PATIENCE)
        try:
            line.request(method, path, body, dict(headers or {}))
            answer = line.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotServing(f"{path} is not answered: {error}") from error
        finally:
            line.close()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Headers | None = None
    ) -> bytes:
        """The body of a good answer; raises NotServing for any status but 200."""
        status, text = self.answer(method, path, body, headers)
        if status != 200:
            raise NotServing(f"{path} is answered with {status}: {text[:200]!r}")
        return text

    def start_load(
        self, requests: Sequence[str], seconds: float, connections: int, watch: str | None = None
    ) -> "subprocess.Popen[bytes]":
        """The client, running; `finish_load` waits for what it finds."""
        spec = {
            "host": "127.0.0.1",
            "port": self.place.port,
            "seconds": seconds,
            "connections": connections,
            "requests": list(requests),
            "watch": watch,
        }
        with on_cores(self.cores.client):
            client = subprocess.Popen(
                [sys.executable, "-I", str(LOAD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        assert client.stdin is not None
        client.stdin.write(json.dumps(spec).encode())
        client.stdin.close()
        client.stdin = None
        return client

    def load(
        self, requests: Sequence[str], seconds: float, connections: int, watch: str | None = None
    ) -> dict[str, Any]:
        """What the client saw, and what the server spent on each request: `cpu_us` in all, and
        `busiest_cpu_us` in the process that did most."""
        before = self.cpu()
        found = finish_load(self.start_load(requests, seconds, connections, watch))
        used = [now - before.get(one, 0.0) for one, now in self.cpu().items()]
        held = memory(self.processes())
        done = max(found["requests"], 1)
        return {
            **found,
            "cpu_us": sum(used) / done * 1e6,
            "busiest_cpu_us": max(used) / done * 1e6,
            "per_second": found["requests"] / found["seconds"],
            "rss_mib": held.resident,
            "pss_mib": held.proportional,
            "worker_mib": held.largest,
        }


def finish_load(client: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Raises NotServing when the client itself fails."""
    said, failed = client.communicate()
    if client.returncode:
        last = failed.decode(errors="replace").strip().splitlines()[-1:]
        raise NotServing(f"the client cannot drive it: {' '.join(last)}")
    found: dict[str, Any] = json.loads(said)
    return found


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
