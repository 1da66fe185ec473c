"""What is let go again, by age and by size; trends tell of it afterwards.

Rows go first: normal ones after `rows_days`, anomalies with their values after `trends_days`, as
they are what labels and later training need. Of trends the minutes go after `trends_days`; hours
and days stay. Alarms, their audit, labels and annotations stay for good, and so do the rows that a
label means: they are few.

Where all takes too much room the oldest go before their time: normal rows, then trends by minute,
then summaries of batches and notifications that are done, and anomalies last.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, or_, select, text

from serving.history.database import Database
from serving.history.labelled import unlabelled
from serving.history.record import MICROSECONDS
from serving.history.room import bytes_a_row, size
from serving.history.tables import (
    ANOMALY,
    DAY,
    IS_ANOMALY,
    IS_LOST,
    MINUTE,
    batches,
    deliveries,
    outbox,
    sources,
    trends,
    verdicts,
)

PIECE = 1000
"""Rows of a source in one transaction: an anomaly that comes meanwhile waits for these, some tens
of milliseconds with ten sources."""
GIGABYTE = 1024**3
SPARE = 0.95
"""Of the size allowed so much stays, or every few rows the oldest would have to be looked for."""
SETTLE_SECONDS = 15.0
"""So long after rows went their number is not believed: PostgreSQL counts late."""

Went = dict[Table, int]
"""How many rows of which table."""


@dataclass(slots=True)
class Retention:
    """How long rows stay, in days, and how much room all may take; 0 is without end."""

    rows_days: float = 14.0
    trends_days: float = 800.0
    gigabytes: float = 10.0
    notifies: bool = True
    """Whether steps of alarms that wait are ever taken; without notifications they go as rows."""
    settle_seconds: float = SETTLE_SECONDS
    _swept: dict[int, int] = field(default_factory=dict)
    """Until when a source has no normal rows left: the anomalies that stay there need not be gone
    through again. Forgotten each day, as late rows may have come."""
    _day: int = 0
    _over: float = 0.0
    """How many bytes are yet to go, since there was found to be too much."""
    _measure_at: float = 0.0

    def tidy(self, database: Database, now: int, pieces: int = 20) -> int:
        """Let go of at most so many pieces of what is too old or too much; how many rows went."""
        gone = 0
        for _ in range(pieces):
            with database.write() as connection:
                some = self._piece(connection, now)
                if some >= PIECE:
                    self._settle()
                some = some or self._too_much(connection, database)
            if not some:
                break
            gone += some
        return gone

    def _piece(self, connection: Connection, now: int) -> int:
        gone = 0
        if self.rows_days:
            before = now - round(self.rows_days * DAY * MICROSECONDS)
            gone += self._normal_rows(connection, before)
            if not self.notifies:
                waits = outbox.c.taken.is_(None) & (outbox.c.created < before)
                gone += _delete(connection, outbox, waits)
        if self.trends_days:
            before = now - round(self.trends_days * DAY * MICROSECONDS)
            gone += _anomalies(connection, before)
            old = (trends.c.resolution == MINUTE) & (trends.c.start < before)
            for source_id in connection.execute(select(sources.c.id)).scalars().all():
                mine = (trends.c.source_id == source_id) & old
                oldest = connection.execute(select(func.min(trends.c.start)).where(mine)).scalar()
                if oldest is not None:
                    until = min(before, oldest + PIECE * MINUTE * MICROSECONDS)
                    gone += _delete(connection, trends, mine & (trends.c.start < until))
            gone += _delete(connection, batches, batches.c.time < before)
            gone += _delete(connection, outbox, and_(outbox.c.taken < before, _told()))
        return gone

    def _normal_rows(self, connection: Connection, before: int) -> int:
        if before // (DAY * MICROSECONDS) != self._day:
            self._day = before // (DAY * MICROSECONDS)
            self._swept.clear()
        gone, c, free = 0, verdicts.c, unlabelled(connection)
        for source_id in connection.execute(select(sources.c.id)).scalars().all():
            since = self._swept.get(source_id, 0)
            old = (c.source_id == source_id) & (c.time >= since) & (c.time < before)
            normal = c.flags.op("&")(ANOMALY) == 0
            some = _delete_oldest(connection, and_(old, normal, *free))
            if some < PIECE:
                self._swept[source_id] = before
            gone += some
        return gone

    def _too_much(self, connection: Connection, database: Database) -> int:
        if not self.gigabytes:
            return 0
        if self._over <= 0:
            self._over = self._measured(connection, database)
        if self._over <= 0:
            return 0
        before = size(connection, database)
        went = _oldest(connection)
        if database.sqlite:
            self._over -= before - size(connection, database)
        else:
            each = bytes_a_row(connection)
            self._over -= sum(each[table.name] * rows for table, rows in went.items())
        if self._over <= 0 or not went:
            self._over = 0.0
            self._settle()
        return sum(went.values())

    def _measured(self, connection: Connection, database: Database) -> float:
        """How many bytes have to go, 0 while there is room."""
        if not database.sqlite and time.monotonic() < self._measure_at:
            return 0.0
        used, limit = size(connection, database), self.gigabytes * GIGABYTE
        return used - SPARE * limit if used > limit else 0.0

    def _settle(self) -> None:
        self._measure_at = time.monotonic() + self.settle_seconds


def _anomalies(connection: Connection, before: int) -> int:
    old = and_(text(IS_ANOMALY), verdicts.c.time < before)
    mine = select(sources.c.id).scalar_subquery()
    some = and_(old, verdicts.c.source_id.in_(mine), *unlabelled(connection))
    return _delete_oldest(connection, some)


def _oldest(connection: Connection) -> Went:
    """A piece of the oldest of what there is the least need of; empty where nothing may go."""
    for let_go in FIRST_TO_LAST:
        went = {table: rows for table, rows in let_go(connection).items() if rows}
        if went:
            return went
    return {}


def _oldest_normal(connection: Connection) -> Went:
    return _oldest_verdicts(connection, verdicts.c.flags.op("&")(ANOMALY) == 0)


def _oldest_minutes(connection: Connection) -> Went:
    """Of all sources as many minutes as a piece has rows, from the oldest on."""
    minutes = trends.c.resolution == MINUTE
    began: dict[int, int] = {}
    for source_id in connection.execute(select(sources.c.id)).scalars().all():
        mine = minutes & (trends.c.source_id == source_id)
        oldest = connection.execute(select(func.min(trends.c.start)).where(mine)).scalar()
        if oldest is not None:
            began[source_id] = oldest
    if not began:
        return {}
    until = min(began.values()) + PIECE * MINUTE * MICROSECONDS
    gone = 0
    for source_id, oldest in began.items():
        if oldest < until:
            mine = minutes & (trends.c.source_id == source_id) & (trends.c.start < until)
            gone += _delete(connection, trends, mine)
    return {trends: gone}


def _oldest_batches(connection: Connection) -> Went:
    return _oldest_by_id(connection, batches)


def _oldest_taken(connection: Connection) -> Went:
    """Notifications that are done; with them goes what was sent to whom."""
    return _oldest_by_id(connection, outbox, outbox.c.taken.is_not(None), _told())


def _told() -> ColumnElement[bool]:
    """Steps of which no message waits; nor a line stop that did not get through, until somebody
    knows of it."""
    lost_stop = and_(text(IS_LOST), deliveries.c.stops == 1)
    open_ones = or_(deliveries.c.state == "waiting", lost_stop)
    return outbox.c.id.not_in(select(deliveries.c.outbox_id).where(open_ones))


def _oldest_anomalies(connection: Connection) -> Went:
    return _oldest_verdicts(connection)


FIRST_TO_LAST: tuple[Callable[[Connection], Went], ...] = (
    _oldest_normal,
    _oldest_minutes,
    _oldest_batches,
    _oldest_taken,
    _oldest_anomalies,
)


def _oldest_verdicts(connection: Connection, *which: ColumnElement[bool]) -> Went:
    """Rows came in the order of their ids, near enough; those that a label means stay."""
    return _oldest_by_id(connection, verdicts, *which, *unlabelled(connection))


def _oldest_by_id(connection: Connection, table: Table, *which: ColumnElement[bool]) -> Went:
    oldest = select(table.c.id).where(*which).order_by(table.c.id).limit(PIECE)
    return {table: _delete(connection, table, table.c.id.in_(oldest.scalar_subquery()))}


def _delete_oldest(connection: Connection, where: ColumnElement[bool]) -> int:
    """A piece of what is meant, by way of an index over the time."""
    oldest = select(verdicts.c.id).where(where).order_by(verdicts.c.time).limit(PIECE)
    return _delete(connection, verdicts, verdicts.c.id.in_(oldest.scalar_subquery()))


def _delete(connection: Connection, table: Table, where: ColumnElement[bool]) -> int:
    return int(connection.execute(delete(table).where(where)).rowcount)
