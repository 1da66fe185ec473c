"""Bring the tables to the newest revision, once, however many processes start at the same time."""

import logging
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from serving.errors import HistoryUnavailable
from serving.history.tables import VERSION_TABLE

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x6B697A62
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it runs in globals of its modules."""

log = logging.getLogger(__name__)


def migrate(engine: Engine) -> None:
    """Migrate within one transaction under a lock, so that who comes second finds it done.

    Raises HistoryUnavailable for tables that a newer version of the service has made.
    """
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with _ONE_AT_A_TIME, engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        found = current(connection)
        known = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
        if found is not None and found not in known:
            raise HistoryUnavailable(
                f"the history is at revision {found}, which a newer version of the service made; "
                "this one cannot use it"
            )
        if found != known[0]:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            log.info("history: tables brought from revision %s to %s", found, known[0])
        connection.commit()


def current(connection: Connection) -> str | None:
    """The revision of the tables, None before the first."""
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()
