"""Where decisions about the threshold are kept, and how every worker comes to know them.

With a history they are rows of its database, which the replicas share: each worker asks for the
newest once a second, off the way of any request, and leaves a copy in the cache of its host. From
that copy workers start while the database is away. Without a history the file in the cache is all
there is: it holds for the workers of this host, and other hosts know nothing of it.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from serving.errors import Conflict, HistoryUnavailable
from serving.following.cache import Cache
from serving.following.detectors import Detectors, Served
from serving.history.asked import now
from serving.history.database import Database
from serving.history.tables import thresholds
from serving.history.views import moment
from serving.threshold.change import Change, Changes, Event

LOOK_SECONDS = 1.0
KEPT_IN_FILE = 200

log = logging.getLogger(__name__)


class InFile:
    """Decisions in the cache of this host, for its workers alone."""

    shared = False

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def newest(self) -> Change | None:
        """What was decided last."""
        return next(iter(self.cache.threshold().changes), None)

    def past(self, limit: int) -> list[Change]:
        """What was decided, newest first."""
        return [*self.cache.threshold().changes[:limit]]

    def add(self, change: Change, after: Change | None, _request_id: str | None) -> Change | None:
        """Keep it, with an id of its own; None where another one came since `after`. Raises
        HistoryUnavailable."""
        try:
            with self._alone():
                before = self.cache.threshold().changes
                newest = next(iter(before), None)
                if (newest and newest.id) != (after and after.id):
                    return None
                change = msgspec.structs.replace(change, id=newest.id + 1 if newest else 1)
                self.cache.write_threshold(Changes([change, *before][:KEPT_IN_FILE]))
        except OSError as error:
            reason = f"the threshold cannot be written down: {error.strerror}"
            raise HistoryUnavailable(reason) from error
        return change

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.cache.create()
        lock = os.open(self.cache.own / "threshold.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class InHistory:
    """Decisions in the history's database, for everything that follows the same model."""

    shared = True

    def __init__(self, database: Database, followed: str) -> None:
        self.database = database
        self.followed = followed

    def newest(self) -> Change | None:
        """What was decided last; raises HistoryUnavailable."""
        return next(iter(self.past(1)), None)

    def past(self, limit: int) -> list[Change]:
        """What was decided, newest first; raises HistoryUnavailable."""
        with self.database.read() as connection:
            return self._newest(connection, limit)

    def add(self, change: Change, after: Change | None, request_id: str | None) -> Change | None:
        """Keep it, with an id of its own; None where another one came since `after`. Raises
        HistoryUnavailable."""
        with self.database.write() as connection:
            newest = next(iter(self._newest(connection, 1)), None)
            if (newest and newest.id) != (after and after.id):
                return None
            at = now()
            values = msgspec.structs.asdict(change) | {"at": at, "followed": self.followed}
            del values["id"]
            made = connection.execute(insert(thresholds), values | {"request_id": request_id})
            assert made.inserted_primary_key is not None
            return msgspec.structs.replace(
                change, id=int(made.inserted_primary_key[0]), at=_written(at)
            )

    def _newest(self, connection: Connection, limit: int) -> list[Change]:
        mine = thresholds.c.followed == self.followed
        query = select(thresholds).where(mine).order_by(thresholds.c.id.desc()).limit(limit)
        return [_change(row) for row in connection.execute(query)]


class Desk:
    """Takes decisions about the threshold of what `detectors` hold, and follows those of others."""

    def __init__(self, detectors: Detectors, database: Database | None, followed: str) -> None:
        self.detectors = detectors
        self.book: InFile | InHistory = (
            InFile(detectors.cache) if database is None else InHistory(database, followed)
        )
        self._served: Served | None = None
        self._problem: str | None = None

    def began_with(self, served: Served | None) -> None:
        """Know what this worker served before it had the time to `look`."""
        self._served = served

    @property
    def shared(self) -> bool:
        """Whether other hosts come to know what is decided here."""
        return self.book.shared

    def set(
        self, served: Served, value: float, who: str, why: str, request_id: str | None
    ) -> Served:
        """Judge by `value` from now on; what is served with it. Raises Conflict where somebody else
        decided at the same moment, and HistoryUnavailable."""
        return self._decide(served, "set", value, who, why, request_id)

    def undo(self, served: Served, who: str, why: str, request_id: str | None) -> Served:
        """Judge by the calibrated threshold again; where none is kept for this bundle, whichever
        worker took the last decision, nothing is done. Raises Conflict as `set`, and
        HistoryUnavailable."""
        self._catch_up()
        newest = self.detectors.change
        if newest is None or not newest.holds(served.bundle.hash):
            return self.detectors.current or served
        return self._decide(served, "undone", None, who, why, request_id)

    async def watch(self) -> None:
        """`look` again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Learn what was decided elsewhere, and end what the version before was judged by."""
        try:
            if self.book.shared:
                self._follow()
            self._end_with_its_version()
        except HistoryUnavailable as error:
            self._say(str(error))
        except Exception as error:  # tomorrow's decision must not be lost to what nobody foresaw
            self._say(f"unexpected: {error!r}")
        else:
            self._problem = None

    def _catch_up(self) -> None:
        """Learn at once what workers otherwise learn within a second."""
        if self.book.shared:
            self._follow()
        else:
            self.detectors.take(self.book.newest())

    def _follow(self) -> None:
        held = self.detectors.change  # first: what is decided here meanwhile must not be undone
        newest = self.book.newest()
        if newest is None and held is not None and held.event == "set":
            # The database is a new one. What is in force stays in force, and is known there too.
            newest = self.book.add(held, None, None)
        if newest != held:
            self.detectors.take(newest)
        if newest != held or not self.detectors.cache.threshold_file.exists():
            self._copy(newest)

    def _copy(self, newest: Change | None) -> None:
        """Leave it where workers of this host start from, also that there is none."""
        cache = self.detectors.cache
        changes = Changes(() if newest is None else (newest,))
        with suppress(OSError):  # a full disk: it is in the database
            known = cache.threshold_file.exists()
            if not known or tuple(cache.threshold().changes) != changes.changes:
                cache.write_threshold(changes)

    def _end_with_its_version(self) -> None:
        """A threshold is one bundle's: that of the version that was left does not come back with
        it, should it ever serve again."""
        before, served = self._served, self.detectors.current
        if before is not None and served is not None and before.bundle.hash != served.bundle.hash:
            self._end(before, served.version)
        self._served = served  # only now: what could not be written down is tried again

    def _end(self, before: Served, version: str) -> None:
        newest = self.book.newest()
        if newest is None or not newest.holds(before.bundle.hash):
            return
        kept = self.book.add(_new(before, "replaced", None, "", version), newest, None)
        if kept is not None:  # otherwise another worker was faster
            self._apply(kept)

    def _decide(
        self,
        served: Served,
        event: Event,
        value: float | None,
        who: str,
        why: str,
        request_id: str | None,
    ) -> Served:
        change = _new(served, event, value, who, why)
        kept = self.book.add(change, self.book.newest(), request_id)
        if kept is None:
            raise Conflict("somebody else changed the threshold at the same moment; look again")
        told = f"threshold {value:g} set" if value is not None else "calibrated threshold again"
        log.info("%s by %s for version %s: %s", told, who, served.version, why)
        self._apply(kept)
        current = self.detectors.current
        assert current is not None
        return current

    def _apply(self, change: Change) -> None:
        self.detectors.take(change)
        if self.book.shared:
            self._copy(change)

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("threshold: %s", problem)
        self._problem = problem


def _new(served: Served, event: Event, value: float | None, who: str, why: str) -> Change:
    return Change(
        id=0,
        at=_written(now()),
        event=event,
        name=served.name,
        version=served.version,
        bundle=served.bundle.hash,
        value=value,
        calibrated=served.calibrated,
        who=who,
        why=why,
    )


def _change(row: Any) -> Change:
    names = (name for name in Change.__struct_fields__ if name != "at")
    return Change(at=_written(row.at), **{name: getattr(row, name) for name in names})


def _written(time: int) -> str:
    return moment(time).isoformat(timespec="milliseconds").replace("+00:00", "Z")
