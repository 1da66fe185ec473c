"""Bring the tables to the newest revision, once, however many processes start at the same time.

A new database is given its tables as `tables.py` has them: Alembic, which brings older ones up to
date, takes 12 MB and a third of a second that a worker then need not spend. The tests hold the
tables of both ways side by side.
"""

import logging
import threading
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select

from serving.errors import HistoryUnavailable
from serving.history.tables import REVISION, metadata, revisions

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x6B697A62
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it runs in globals of its modules."""

log = logging.getLogger(__name__)


def bring_up_to_date(engine: Engine) -> None:
    """Make the tables, or migrate them, within one transaction under a lock, so that who comes
    second finds it done.

    Raises HistoryUnavailable for tables that a newer version of the service has made.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        found = revision_of(connection)
        if found is None:
            _make(connection)
            log.info("history: tables made at revision %s", REVISION)
        elif found != REVISION:
            migrate(connection)
            log.info("history: tables brought from revision %s to %s", found, REVISION)
        connection.commit()


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables, None before there are any."""
    if not inspect(connection).has_table(revisions.name):
        return None
    return connection.execute(select(revisions.c.version_num)).scalar()


def migrate(connection: Connection, revision: str = REVISION) -> None:
    """Bring tables of an older revision to this one, as Alembic's scripts say; none is where the
    scripts begin. Raises HistoryUnavailable for tables of a revision that no script knows."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    found = revision_of(connection)
    known = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    if found is not None and found not in known:
        raise HistoryUnavailable(
            f"the history is at revision {found}, which a newer version of the service made; "
            "this one cannot use it"
        )
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, revision)


def _make(connection: Connection) -> None:
    # Tables without a revision are not the service's own: they are left to the error.
    metadata.create_all(connection, checkfirst=False)
    revisions.create(connection)
    connection.execute(insert(revisions), {"version_num": REVISION})
