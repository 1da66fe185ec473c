"""What time alone changes: silence, shelves that run out, rows that are let go.

Any number of processes may do it at once: alarms move once, as their rows are held, and one process
at a time, which has the lease, lets rows go.
"""

import time

from serving.alarms.ends import Ends
from serving.alarms.rules import Rules
from serving.alarms.watch import sweep
from serving.history.database import Database
from serving.history.lease import Lease
from serving.history.record import MICROSECONDS, TOLERANCE
from serving.history.retention import Retention

LEASE_SECONDS = 90.0
TIDY_SECONDS = 30.0
HURRY_SECONDS = 2.0
"""The pause where there is more to let go of than one time allows."""
BELIEF_SECONDS = 86_400.0
"""What is let go is gone for good: a clock that was put ahead is followed when it has gone on from
there for so long."""


class Upkeep:
    """What has to be done every few seconds, by whatever process has the time."""

    def __init__(
        self, database: Database, rules: Rules, retention: Retention, ends: Ends | None = None
    ) -> None:
        self.database = database
        self.rules = rules
        self.retention = retention
        self._lease = Lease(database, "retention", LEASE_SECONDS)
        self._ends = ends or Ends()
        self._since: int | None = None
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        self._followed: int | None = None
        """By how much the clock that rows are let go by is ahead of the one that nobody sets."""
        self._seen = 0
        self._follow_at = 0.0

    def once(self, now: int) -> None:
        """Look once; `now` is in microseconds. Raises HistoryUnavailable."""
        self._believed(now)
        # Before this process listened no source can have been silent, as far as it knows.
        since = self._since = now if self._since is None else self._since
        with self.database.write() as connection:
            sweep(connection, self.rules, now, since, self._ends)
        if time.monotonic() >= self._tidy_at:
            leads = self._lease.take(now)
            more = leads and self.retention.tidy(self.database, self._believed(now)) > 0
            self._tidy_at = time.monotonic() + (HURRY_SECONDS if more else TIDY_SECONDS)

    def _believed(self, now: int) -> int:
        """`now` by a clock that follows this machine's ahead only after BELIEF_SECONDS."""
        seconds = time.monotonic()
        ticks = round(seconds * MICROSECONDS)
        ahead = now - ticks
        if self._followed is None:
            self._followed = self._seen = ahead
        if abs(ahead - self._seen) > TOLERANCE:
            self._seen, self._follow_at = ahead, seconds + BELIEF_SECONDS
        if seconds >= self._follow_at:
            self._followed = self._seen
        return ticks + min(ahead, self._followed)
