"""A real PostgreSQL with a folder and a port of its own, which may be stopped and frozen."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from bench.ports import reserved
from kizashi.errors import KizashiError

PACKAGED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
"""Where Debian keeps what its own wrappers start."""
LOG_FILE_BYTES = 1 << 24
"""Of each file of the write-ahead log: where those cannot be written a server ends."""


class NotInstalled(KizashiError):
    """PostgreSQL's programs are not on this machine."""


def _program(name: str) -> str:
    places = os.pathsep.join([*map(str, PACKAGED), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=places)
    if found is None:
        raise NotInstalled(f"{name} (PostgreSQL) is not installed")
    return found


class Postgres:
    """A server that can be stopped, frozen and started again; raises NotInstalled."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
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

    @property
    def process(self) -> int:
        """Of the server; those of its connections are its children."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def limit(self, size: int | Literal["unlimited"]) -> None:
        """Let no file grow beyond so many bytes, in connections that are there and those to come;
        a write that would is refused as one to a full disk is."""
        for pid in self._processes():
            with suppress(KizashiError):  # it has ended since
                self._run(_program("prlimit"), f"--pid={pid}", f"--fsize={size}:unlimited")

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> list[int]:
        """The first one and its children, any of which may have ended since."""
        first = self.process
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

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
        if done.returncode:
            raise KizashiError(f"PostgreSQL: {' '.join(command)} ended with {done.returncode}")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that runs, in a folder of its own, and is gone afterwards; raises NotInstalled."""
    with (
        reserved() as port,  # also while it is stopped
        tempfile.TemporaryDirectory(prefix="kz", ignore_cleanup_errors=True) as name,
    ):
        Path(name).chmod(0o755)  # the server runs as another user
        server = Postgres(Path(name) / "server", port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
