"""Which of several processes does what only one may do: a row of the database, held by renewing it.

No two clocks are compared, and none that people set: a lease is free for others when its row has
stood unchanged for as long as it lasts, by the clock of who watches it.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.history.tables import leases


def this_process() -> str:
    """A name that no other process has or will have."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Lease:
    """The lease `name`, of so many seconds, for one holder; who takes it with a holder's name is
    that holder, so a name must be of one process at a time."""

    def __init__(
        self,
        database: Database,
        name: str,
        seconds: float,
        holder: str | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.name = name
        self.seconds = seconds
        self.holder = holder or this_process()
        self._ticks = ticks
        self._until = float("-inf")
        self._sight = _Sight(ticks)

    @property
    def held(self) -> bool:
        """Whether it is still this holder's; it ends by itself where it cannot be renewed."""
        return self._ticks() < self._until

    def take(self, now: int) -> bool:
        """Take it, or hold it for longer; False while another has it. `now`, in microseconds, is
        for who reads the row. Raises HistoryUnavailable."""
        begun = self._ticks()
        mine = {"holder": self.holder, "until": now + round(self.seconds * MICROSECONDS)}
        with self.database.write() as connection:
            found = connection.execute(select(leases).where(leases.c.name == self.name)).first()
            if found is None:
                connection.execute(insert(leases), mine | {"name": self.name})
            elif found.holder == self.holder or self._sight.stood(found) >= self.seconds:
                connection.execute(update(leases).where(leases.c.name == self.name), mine)
            else:
                self._until = float("-inf")
                return False
        self._until = begun + self.seconds
        return True

    def release(self) -> None:
        """Give it back, so that another need not wait for its end; raises HistoryUnavailable."""
        self._until = float("-inf")
        with self.database.write() as connection:
            held = (leases.c.name == self.name) & (leases.c.holder == self.holder)
            connection.execute(delete(leases).where(held))


class Watched:
    """The lease `name` as a process sees it that does not want it."""

    def __init__(
        self, name: str, seconds: float, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.seconds = seconds
        self._sight = _Sight(ticks)
        self._over: tuple[str, int] | None = None
        self._looked = False

    def held(self, connection: Connection, now: int) -> bool:
        """Whether somebody holds it. How long a row has stood there already when it is first seen
        nothing but its time of day says, which is held against `now`, in microseconds; so it is
        believed until the row changes."""
        found = connection.execute(select(leases).where(leases.c.name == self.name)).first()
        if not self._looked:
            self._looked = True
            self._over = (found.holder, found.until) if found and found.until <= now else None
        if found is None or (found.holder, found.until) == self._over:
            return False
        return self._sight.stood(found) < self.seconds


class _Sight:
    """How long a row has stood unchanged, in seconds, since it was first seen so."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._seen: tuple[str, int, float] | None = None

    def stood(self, found: Any) -> float:
        now, seen = self._ticks(), self._seen
        if seen is None or seen[:2] != (found.holder, found.until):
            self._seen = seen = (found.holder, found.until, now)
        return now - seen[2]
