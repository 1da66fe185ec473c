"""A real PostgreSQL for tests, with a folder and a port of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKAGED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
"""Where Debian keeps what its own wrappers start."""


def _program(name: str) -> str:
    places = os.pathsep.join([*map(str, PACKAGED), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=places)
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{name} (PostgreSQL) is not installed")
    pytest.skip(f"{name} (PostgreSQL) is not installed")


class Postgres:
    """A server that can be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._pg_ctl = _program("pg_ctl")
        # PostgreSQL refuses to run as root.
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        folder.mkdir()
        if self._as:
            shutil.chown(folder, "postgres")
        self._run(
            *(_program("initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
        )

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        log = str(self._folder / "log")
        self._control("start", "-o", options, "-l", log)

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def freeze(self) -> None:
        """Let it hang: connections stay, and nothing answers on them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        first = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (first, *map(int, children)):
            os.kill(pid, number)

    def new_database(self) -> str:
        """The address of a database that nobody has used."""
        name = f"kizashi_{uuid.uuid4().hex[:12]}"
        address = f"postgresql://postgres@127.0.0.1:{self._port}"
        self._run(_program("psql"), "-q", f"{address}/postgres", "-c", f"CREATE DATABASE {name}")
        return f"{address}/{name}"

    def _control(self, *arguments: str) -> None:
        self._run(self._pg_ctl, "-D", str(self._folder / "data"), "-w", *arguments)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [*self._as, *command],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server inherits it, and would keep a pipe open
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, command


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """A server that runs, and is gone afterwards."""
    server = Postgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.1)
