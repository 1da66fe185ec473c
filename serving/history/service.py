"""The history of one worker: what `create_app` makes of the settings, starts and closes.

Verdicts are taken from the first on. The database stands behind the writer: SQLAlchemy takes longer
to import than all that a verdict needs, so the first thread that wants the database imports it.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from serving.alarms.rules import Rules, read_rules
from serving.errors import HistoryUnavailable
from serving.history.observer import HistoryObserver
from serving.history.record import MICROSECONDS
from serving.history.writer import Writer
from serving.metrics.counts import Counts
from serving.metrics.families import HISTORY_FAILING, HISTORY_ROWS
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.history.database import Database
    from serving.history.store import Store
    from serving.history.upkeep import Upkeep

OPEN_SECONDS = 0.1
"""So long after the start the database is opened, unless it is wanted before: whoever waits for the
service to be ready comes first."""
UPKEEP_SECONDS = 2.0
OWN = ("sqlite", "none")
"""Values of KIZASHI_DATABASE_URL that need not be read to be known as good."""

log = logging.getLogger(__name__)


def check_history(settings: Settings) -> Rules:
    """The rules of alarms; raises ConfigurationError where the settings of history or alarms cannot
    be used."""
    if settings.database_url not in OWN:
        from serving.history.database import database_url

        database_url(settings.database_url, settings.cache)
    return read_rules(settings.alarm_rules)


class History:
    """Rules, writer and database; `observer` is the keeper of `Scoring`."""

    def __init__(self, settings: Settings, rules: Rules) -> None:
        self.rules = rules
        self.writer = Writer(lambda: self.store)
        self.observer = HistoryObserver(self.writer)
        self._settings = settings
        self._behind: tuple[Store, Upkeep] | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The history that the settings ask for, None for none; raises ConfigurationError."""
        rules = check_history(settings)
        return None if settings.database_url == "none" else cls(settings, rules)

    @property
    def database(self) -> "Database":
        return self.store.database

    @property
    def store(self) -> "Store":
        return self._opened()[0]

    @property
    def upkeep(self) -> "Upkeep":
        return self._opened()[1]

    def _opened(self) -> "tuple[Store, Upkeep]":
        with self._lock:
            if self._behind is None:
                from serving.history.database import Database, database_url
                from serving.history.retention import Retention
                from serving.history.store import Store
                from serving.history.upkeep import Upkeep

                settings = self._settings
                url = database_url(settings.database_url, settings.cache)
                assert url is not None
                database = Database(url)
                retention = Retention(
                    rows_days=settings.keep_rows_days,
                    trends_days=settings.keep_trends_days,
                    gigabytes=settings.keep_gigabytes,
                    notifies=settings.notify_config is not None,
                )
                self._behind = (
                    Store(database, self.rules, settings.record),
                    Upkeep(database, self.rules, retention),
                )
                if self._closed.is_set():  # by now nobody else would close it
                    database.dispose()
            return self._behind

    def count_in(self, counts: Counts) -> None:
        """Let the worker's metrics tell of the writer."""
        writer = self.writer
        counts.queue("history", lambda: writer.depth)
        counts.read(
            HISTORY_ROWS,
            lambda: [(("written",), writer.written), (("dropped",), writer.dropped)],
        )
        counts.read(HISTORY_FAILING, lambda: [((), float(writer.problem is not None))])

    def start(self) -> None:
        """Begin to write, and to look after what time alone changes; both in threads.

        A database that is not there yet keeps nothing back: what can be answered without it is.
        """
        self.writer.start()
        self._thread = threading.Thread(target=self._attend, name="upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write all that waits, and let go of the database."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(UPKEEP_SECONDS)
        self.writer.close()
        with self._lock:  # a thread that opens it has done so, or will find that this has ended
            if self._behind is not None:
                self._behind[0].database.dispose()

    def _can_write(self) -> bool:
        """Find out whether rows can be written, and say so."""
        try:
            with self.database.write():  # makes the tables, or brings them up to date
                pass
        except HistoryUnavailable as error:
            self.writer.cannot_write(error)
            return False
        self.writer.can_write()
        return True

    def _attend(self) -> None:
        """Open the database before the first row needs it, and look after it until the end."""
        seconds, doubted, unexpected, problem = OPEN_SECONDS, True, False, ""
        while not self._closed.wait(seconds):
            seconds = UPKEEP_SECONDS
            try:
                if doubted and not self._can_write():
                    continue
                doubted = True
                self.upkeep.once(round(time.time() * MICROSECONDS))
                doubted, unexpected, problem = self.writer.problem is not None, False, ""
            except HistoryUnavailable as error:  # rows may still be written: the next round asks
                if str(error) != problem:
                    log.warning("upkeep waits: %s", error)
                problem = str(error)
            except Exception:  # tomorrow's rows must not be lost to what nobody foresaw
                if not unexpected:
                    log.exception("upkeep met what it did not expect")
                unexpected = True
