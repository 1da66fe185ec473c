"""What is let go again, by age and by size; trends tell of it afterwards.

Rows go first: normal ones after `rows_days`, anomalies with their values after `trends_days`, as
they are what labels and later training need. Of trends the minutes go after `trends_days`; hours
and days stay. Alarms, their audit, labels and annotations stay for good: they are few.
"""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, select, text

from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.history.tables import (
    ANOMALY,
    DAY,
    IS_ANOMALY,
    MINUTE,
    batches,
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


@dataclass(slots=True)
class Retention:
    """How long rows stay, in days, and how much room all may take; 0 is without end."""

    rows_days: float = 14.0
    trends_days: float = 800.0
    gigabytes: float = 10.0
    _swept: dict[int, int] = field(default_factory=dict)
    """Until when a source has no normal rows left: the anomalies that stay there need not be gone
    through again. Forgotten each day, as late rows may have come."""
    _day: int = 0

    def tidy(self, database: Database, now: int, pieces: int = 20) -> int:
        """Let go of at most so many pieces of what is too old or too much; how many rows went."""
        gone = 0
        for _ in range(pieces):
            with database.write() as connection:
                some = self._piece(connection, now) or self._too_much(connection, database)
            if not some:
                break
            gone += some
        return gone

    def _piece(self, connection: Connection, now: int) -> int:
        gone = 0
        if self.rows_days:
            before = now - round(self.rows_days * DAY * MICROSECONDS)
            gone += self._normal_rows(connection, before)
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
            gone += _delete(connection, outbox, outbox.c.taken < before)
        return gone

    def _normal_rows(self, connection: Connection, before: int) -> int:
        if before // (DAY * MICROSECONDS) != self._day:
            self._day = before // (DAY * MICROSECONDS)
            self._swept.clear()
        gone, c = 0, verdicts.c
        for source_id in connection.execute(select(sources.c.id)).scalars().all():
            since = self._swept.get(source_id, 0)
            old = (c.source_id == source_id) & (c.time >= since) & (c.time < before)
            some = _delete_oldest(connection, old & (c.flags.op("&")(ANOMALY) == 0))
            if some < PIECE:
                self._swept[source_id] = before
            gone += some
        return gone

    def _too_much(self, connection: Connection, database: Database) -> int:
        if not self.gigabytes or size(connection, database) <= self.gigabytes * GIGABYTE:
            return 0
        return _oldest(connection)


def size(connection: Connection, database: Database) -> int:
    """How many bytes the history's rows take; what is free within a SQLite file does not count."""
    if database.sqlite:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
        return int((pages - free) * (connection.exec_driver_sql("PRAGMA page_size").scalar() or 0))
    names = ", ".join(f"'{table.name}'" for table in (verdicts, trends, batches, outbox))
    query = (
        "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
        f"WHERE c.relname IN ({names}) AND pg_table_is_visible(c.oid)"
    )
    # Room that vacuum has freed stays with a table: dead rows are counted off it, by estimate.
    dead = (
        "SELECT COALESCE(SUM(n_dead_tup::float / GREATEST(n_live_tup + n_dead_tup, 1) * "
        f"pg_total_relation_size(relid)), 0) FROM pg_stat_user_tables WHERE relname IN ({names})"
    )
    total = connection.execute(text(query)).scalar() or 0
    return int(total) - int(connection.execute(text(dead)).scalar() or 0)


def file_size(database: Database) -> int:
    """How many bytes a SQLite database takes on disk, its log included."""
    path = Path(str(database.url.database))
    names = (path, Path(f"{path}-wal"))
    return sum(name.stat().st_size for name in names if name.exists())


def _anomalies(connection: Connection, before: int) -> int:
    old = and_(text(IS_ANOMALY), verdicts.c.time < before)
    mine = select(sources.c.id).scalar_subquery()
    return _delete_oldest(connection, and_(old, verdicts.c.source_id.in_(mine)))


def _oldest(connection: Connection) -> int:
    """The oldest rows of all: they came in this order, near enough; normal ones where there are."""
    for wanted in (verdicts.c.flags.op("&")(ANOMALY) == 0, verdicts.c.id > 0):
        oldest = select(verdicts.c.id).where(wanted).order_by(verdicts.c.id).limit(PIECE)
        gone = _delete(connection, verdicts, verdicts.c.id.in_(oldest.scalar_subquery()))
        if gone:
            return gone
    return 0


def _delete_oldest(connection: Connection, where: ColumnElement[bool]) -> int:
    """A piece of what is meant, by way of an index over the time."""
    oldest = select(verdicts.c.id).where(where).order_by(verdicts.c.time).limit(PIECE)
    return _delete(connection, verdicts, verdicts.c.id.in_(oldest.scalar_subquery()))


def _delete(connection: Connection, table: Table, where: ColumnElement[bool]) -> int:
    return int(connection.execute(delete(table).where(where)).rowcount)
