"""The database of the history: SQLite in WAL, or PostgreSQL; the same tables in both."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from kizashi.errors import ConfigurationError
from serving.errors import HistoryUnavailable
from serving.history.migrate import bring_up_to_date, revision_of
from serving.history.tables import REVISION

LOCK = 0x6B697A61
"""PostgreSQL's advisory lock around what changes: ids then appear in the order of commits, so that
who reads by id misses nothing, and no two transactions can wait for each other."""
WAIT_SECONDS = 5
CONNECT_SECONDS = 3

log = logging.getLogger(__name__)


def database_url(value: str, folder: Path) -> URL | None:
    """What KIZASHI_DATABASE_URL means: None for `none`; raises ConfigurationError."""
    if value == "none":
        return None
    if value == "sqlite":
        return URL.create("sqlite", database=str((folder / "history.db").absolute()))
    try:
        url = make_url(value)
    except ArgumentError as error:
        raise ConfigurationError(f"KIZASHI_DATABASE_URL cannot be read; {WANTED}") from error
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        if find_spec("psycopg") is None:
            raise ConfigurationError(
                "KIZASHI_DATABASE_URL names PostgreSQL, which needs an extra: "
                "pip install 'kizashi[postgres]'"
            )
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise ConfigurationError(
        f"KIZASHI_DATABASE_URL is '{url.render_as_string(hide_password=True)}'; {WANTED}"
    )


WANTED = "sqlite, none, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE is needed"


class Database:
    """Connections to the history; the first of a process brings its tables up to date."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.sqlite = url.get_backend_name() == "sqlite"
        self._engine: Engine | None = None
        self._current = False
        self._disposed = False
        self._reason: str | None = None
        self._lock = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that changes something; one at a time for the whole database.

        Raises HistoryUnavailable when it cannot be begun or committed.
        """
        with self._connected() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            yield connection
            connection.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment; raises HistoryUnavailable when there is none."""
        with self._connected() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection
            connection.rollback()

    def dispose(self) -> None:
        """Close what is open, and what is in use after its use; so is what is used from now on."""
        with self._lock:
            self._disposed = True
            if self._engine is not None:
                self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = self._ready().connect()
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise self._unavailable(error) from error
        try:
            yield connection
            self._reason = None
        except SQLAlchemyError as error:
            connection.invalidate()  # what failed once may have left anything behind
            raise self._unavailable(error) from error
        finally:
            if self._disposed:  # nobody else would close it: its pool has been let go of
                connection.invalidate()
            connection.close()

    def _unavailable(self, error: Exception) -> HistoryUnavailable:
        """The error for clients. The reason is for the log, which is told it once: it has hosts and
        users in it."""
        told = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = told[0] if told else type(error).__name__
        if reason != self._reason:
            log.error("the history cannot be reached: %s", reason)
        self._reason = reason
        return HistoryUnavailable("the history cannot be reached; the service's log says why")

    def _ready(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            if not self._current:
                with self._engine.connect() as connection:
                    current = revision_of(connection) == REVISION
                if not current:
                    bring_up_to_date(self._engine)
                self._current = True
            return self._engine

    def _make(self) -> Engine:
        pool: dict[str, Any] = {
            "poolclass": QueuePool,
            "pool_size": 4,
            "max_overflow": 12,
            "pool_timeout": WAIT_SECONDS,
        }
        if self.sqlite:
            assert self.url.database is not None
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(
                self.url, connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False}, **pool
            )
            event.listen(engine, "connect", _prepare_sqlite)
            return engine
        waits = f"-c lock_timeout={WAIT_SECONDS}s -c idle_in_transaction_session_timeout=30s"
        return create_engine(
            self.url,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "tcp_user_timeout": 1000 * WAIT_SECONDS,
                "keepalives_idle": WAIT_SECONDS,
                "options": waits,
            },
            pool_pre_ping=True,
            **pool,
        )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where this module says so
    _log_ahead(connection)
    for pragma in (
        "synchronous=FULL",  # a commit survives the machine, not only the process
        "foreign_keys=ON",
        "cache_size=-8000",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _log_ahead(connection: Any) -> None:
    """Have the file written ahead. It is turned to that once, alone: processes that start together
    each find it locked by another, and SQLite does not wait for that by itself."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
