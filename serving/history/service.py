"""The history of one worker: what `create_app` makes of the settings, starts and closes."""

import logging
import threading
import time
from typing import Self

from serving.alarms.rules import Rules, read_rules
from serving.errors import HistoryUnavailable
from serving.history.database import Database, database_url
from serving.history.observer import HistoryObserver
from serving.history.record import MICROSECONDS
from serving.history.retention import Retention
from serving.history.store import Kept, Store
from serving.history.upkeep import Upkeep
from serving.history.writer import Writer
from serving.metrics.counts import Counts
from serving.metrics.families import HISTORY_FAILING, HISTORY_ROWS
from serving.settings import Settings

UPKEEP_SECONDS = 2.0

log = logging.getLogger(__name__)


def check_history(settings: Settings) -> None:
    """See whether the settings of history and alarms can be used; raises ConfigurationError."""
    database_url(settings.database_url, settings.cache)
    read_rules(settings.alarm_rules)


class History:
    """Database, rules and writer; `observer` is the keeper of `Scoring`."""

    def __init__(
        self,
        database: Database,
        rules: Rules | None = None,
        kept: Kept = "anomalies",
        retention: Retention | None = None,
    ) -> None:
        self.database = database
        self.rules = rules or Rules()
        self.store = Store(database, self.rules, kept)
        self.writer = Writer(self.store)
        self.observer = HistoryObserver(self.writer)
        self.upkeep = Upkeep(database, self.rules, retention or Retention())
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The history that the settings ask for, None for none; raises ConfigurationError."""
        url = database_url(settings.database_url, settings.cache)
        if url is None:
            return None
        retention = Retention(
            rows_days=settings.keep_rows_days,
            trends_days=settings.keep_trends_days,
            gigabytes=settings.keep_gigabytes,
        )
        rules = read_rules(settings.alarm_rules)
        return cls(Database(url), rules, settings.record, retention)

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
        """Begin to write, and to look after what time alone changes.

        A database that is not there yet keeps nothing back: what can be answered without it is.
        """
        try:
            with self.database.write():
                pass  # its tables are made, or brought up to date, before the first row needs them
        except HistoryUnavailable as error:
            log.error("history: %s", error)
        self.writer.start()
        self._thread = threading.Thread(target=self._attend, name="upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write all that waits, and let go of the database."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(UPKEEP_SECONDS)
        self.writer.close()

    def _attend(self) -> None:
        problem: str | None = None
        while not self._closed.wait(UPKEEP_SECONDS):
            try:
                self.upkeep.once(round(time.time() * MICROSECONDS))
                problem = None
            except HistoryUnavailable as error:
                if problem is None:
                    log.warning("upkeep: %s", error)
                problem = str(error)
            except Exception:  # tomorrow's rows must not be lost to what nobody foresaw
                if problem is None:
                    log.exception("upkeep met what it did not expect")
                problem = "unexpected"
