"""What time alone changes: silence, shelves that run out, rows that are let go.

Any number of processes may do it at once: alarms move once, as their rows are held, and one process
at a time, which has the lease, lets rows go.
"""

import os
import socket
import time

from sqlalchemy import delete, insert, select, update

from serving.alarms.rules import Rules
from serving.alarms.watch import sweep
from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.history.retention import Retention
from serving.history.tables import leases

LEASE_SECONDS = 90
TIDY_SECONDS = 30.0
HURRY_SECONDS = 2.0
"""The pause where there is more to let go of than one time allows."""


class Upkeep:
    """What has to be done every few seconds, by whatever process has the time."""

    def __init__(self, database: Database, rules: Rules, retention: Retention) -> None:
        self.database = database
        self.rules = rules
        self.retention = retention
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        self._since: int | None = None
        self._tidy_at = time.monotonic() + TIDY_SECONDS

    def once(self, now: int) -> None:
        """Look once; `now` is in microseconds. Raises HistoryUnavailable."""
        # Before this process listened no source can have been silent, as far as it knows.
        since = self._since = now if self._since is None else self._since
        with self.database.write() as connection:
            sweep(connection, self.rules, now, since)
        if time.monotonic() >= self._tidy_at:
            more = self.lease("retention", now) and self.retention.tidy(self.database, now) > 0
            self._tidy_at = time.monotonic() + (HURRY_SECONDS if more else TIDY_SECONDS)

    def lease(self, name: str, now: int) -> bool:
        """Take the lease, or hold it for longer; False while another process has it."""
        mine = {"holder": self.holder, "until": now + LEASE_SECONDS * MICROSECONDS}
        with self.database.write() as connection:
            found = connection.execute(select(leases).where(leases.c.name == name)).first()
            if found is None:
                connection.execute(insert(leases), mine | {"name": name})
                return True
            if found.holder != self.holder and found.until > now:
                return False
            connection.execute(update(leases).where(leases.c.name == name), mine)
            return True

    def release(self, name: str) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        with self.database.write() as connection:
            held = (leases.c.name == name) & (leases.c.holder == self.holder)
            connection.execute(delete(leases).where(held))
