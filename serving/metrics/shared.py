"""The folder in which the workers of one service leave their counts for each other.

    service.lock        held by the process that started the service
    ID.lock             held by a worker for as long as it lives
    ID.counts           what it has counted
    ended.counts        the sum of those that have ended
    reading.lock        held while all of it is read, or the ended are added up

A lock falls with its process, however that ends: no process number, which another process may bear
by now, decides who lives.
"""

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from serving.metrics.counts import Distribution, Snapshot, Value
from serving.metrics.families import ENDED

SERVICE, READING, SUM = "service.lock", "reading.lock", "ended.counts"
NEW = ".new-"

T = TypeVar("T", Snapshot, "Ended")
_encode = msgspec.msgpack.Encoder().encode


class Ended(msgspec.Struct):
    """The sum of the workers that have ended, and whose counts it has: their files may still be
    there when a process ends between adding and deleting."""

    workers: set[str]
    counted: Snapshot


def prepare(folder: Path) -> Path:
    """A new folder for the workers of this service, which this process owns until it ends.

    Those of services that have ended are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for one in folder.iterdir():
        if not one.name.startswith(".") and _free(one / SERVICE):
            shutil.rmtree(one, ignore_errors=True)
    new = Path(tempfile.mkdtemp(dir=folder, prefix=NEW))
    _hold(new / SERVICE)
    return new.rename(folder / uuid.uuid4().hex[:12])


class Shared:
    """One worker's place in the folder of its service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._held: int | None = None

    def write(self, snapshot: Snapshot) -> None:
        """Leave these counts for the others; raises OSError where that cannot be done."""
        if self._held is None:
            self._held = self._enter()
        new = self.folder / f"{NEW}{self.name}"
        new.write_bytes(_encode(snapshot))
        new.replace(self.folder / f"{self.name}.counts")

    def leave(self) -> None:
        """This worker ends: its counts stay, what it says of now does not."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def read(self) -> tuple[list[Snapshot], Snapshot]:
        """What each worker that lives has counted, and the sum of those that have ended."""
        with self._reading():
            ended = _read(self.folder / SUM, Ended) or Ended(set(), Snapshot({}, {}, {}))
            living, dead = [], []
            for file in sorted(self.folder.glob("*.counts")):
                if file.name == SUM:
                    continue
                # Looked at first: who ends meanwhile still writes down what it counted last.
                lives = not _free(file.with_suffix(".lock"))
                counted = _read(file, Snapshot)
                if lives:
                    if counted is not None:
                        living.append(counted)
                    continue
                dead.append(file)
                if counted is not None and file.stem not in ended.workers:
                    ended.counted = add(ended.counted, counted)
            if dead:
                self._bury(ended, dead)
        return living, ended.counted

    def _bury(self, ended: Ended, dead: list[Path]) -> None:
        one = Snapshot({ENDED.name: [((), 1.0)]}, {}, {})
        for file in dead:
            if file.stem not in ended.workers:
                ended.counted = add(ended.counted, one)
        ended.workers = {file.stem for file in dead}
        new = self.folder / f"{NEW}{self.name}-{SUM}"
        with suppress(OSError):  # on a full disk the files stay, and are added again next time
            new.write_bytes(_encode(ended))
            new.replace(self.folder / SUM)
            for file in dead:
                file.unlink(missing_ok=True)
                file.with_suffix(".lock").unlink(missing_ok=True)

    def _enter(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f"{NEW}{self.name}.lock"
        held = _hold(new)
        new.rename(self.folder / f"{self.name}.lock")  # seen by the others only once it is held
        return held

    @contextmanager
    def _reading(self) -> Iterator[None]:
        descriptor = os.open(self.folder / READING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def add(first: Snapshot, second: Snapshot) -> Snapshot:
    """Counters and histograms of both together; gauges speak of now and are left out."""
    counters = {
        name: _added(first.counters.get(name, []), second.counters.get(name, []))
        for name in first.counters | second.counters
    }
    histograms = {
        name: _together(first.histograms.get(name, []), second.histograms.get(name, []))
        for name in first.histograms | second.histograms
    }
    return Snapshot(counters, histograms, {})


def _added(first: list[Value], second: list[Value]) -> list[Value]:
    values = dict(first)
    for labels, value in second:
        values[labels] = values.get(labels, 0) + value
    return list(values.items())


def _together(first: list[Distribution], second: list[Distribution]) -> list[Distribution]:
    found = {one.labels: one for one in first}
    for one in second:
        found[one.labels] = one.of(one.labels, found.get(one.labels))
    return list(found.values())


def _hold(file: Path) -> int:
    """A descriptor that holds the lock on a new file."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _free(file: Path) -> bool:
    """Whether no process holds the lock on `file`; also where there is none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
