import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, select, text

from kizashi.errors import ConfigurationError
from serving.__main__ import main
from serving.errors import HistoryUnavailable
from serving.history.database import Database, database_url
from serving.history.migrate import FOLDER, migrate, revision_of
from serving.history.tables import REVISION, deliveries, metadata, outbox, revisions, sources
from tests.serving.history.conftest import count


def test_the_default_is_a_file_in_the_cache(tmp_path: Path) -> None:
    url = database_url("sqlite", tmp_path)
    assert url is not None
    assert url.database == str(tmp_path / "history.db")
    assert database_url("none", tmp_path) is None


@pytest.mark.parametrize(
    "value", ["mysql://user:secret@host/db", "sqlite://", "sqlite:///:memory:", "history.db"]
)
def test_what_is_no_history_is_refused_without_its_password(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is needed$") as refused:
        database_url(value, tmp_path)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("KIZASHI_DATABASE_URL", "mysql://host/db", "KIZASHI_DATABASE_URL is 'mysql://host/db'"),
        ("KIZASHI_ALARM_RULES", "nowhere.yaml", "KIZASHI_ALARM_RULES is 'nowhere.yaml'"),
    ],
)
def test_a_service_with_a_wrong_setting_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv("KIZASHI_PORT", "18765")
    monkeypatch.setenv("KIZASHI_ALLOW_ANONYMOUS", "true")
    monkeypatch.setenv(name, value)
    assert main(["--check"]) == 1
    assert capsys.readouterr().err.startswith(told)


def test_processes_that_start_together_make_the_tables_once(
    address: str, open_database: Callable[[str], Database]
) -> None:
    databases = [open_database(address) for _ in range(6)]

    def use(database: Database) -> int:
        return sum(count(database, table) for table in metadata.sorted_tables)

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(use, databases)) == [0] * 6


def test_a_new_file_that_another_process_holds_is_waited_for(
    tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    other = sqlite3.connect(tmp_path / "history.db", check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    done = threading.Timer(0.3, other.rollback)
    done.start()
    try:
        assert count(open_database(f"sqlite:///{tmp_path}/history.db"), outbox) == 0
    finally:
        done.join()
        other.close()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005", "0006"])
def test_tables_of_an_older_service_become_those_of_a_new_database(
    database: Database,
    address: str,
    open_database: Callable[[str], Database],
    revision: str,
) -> None:
    new = _shape(database)
    with _emptied(database) as connection:
        migrate(connection, revision)
        assert revision_of(connection) == revision
        connection.execute(text(A_SOURCE), {"name": "press-1"})
    older = open_database(address)
    assert _shape(older) == new
    with older.read() as connection:
        assert revision_of(connection) == REVISION
        assert connection.execute(select(sources.c.name)).scalar_one() == "press-1"


def test_steps_and_what_was_given_up_are_found_and_known_after_an_upgrade(
    database: Database, address: str, open_database: Callable[[str], Database]
) -> None:
    assert count(database, outbox) == 0
    with _emptied(database) as connection:
        migrate(connection, "0006")
        for number, payload in enumerate(('{"occurrence_id":7}', '{"occurrence_id":null}'), 1):
            connection.execute(text(A_STEP), {"key": f"step-{number}", "payload": payload})
        for state in ("given_up", "waiting"):
            connection.execute(text(A_DELIVERY), {"state": state})
    with open_database(address).read() as connection:
        steps = connection.execute(select(outbox.c.occurrence_id).order_by(outbox.c.id))
        assert steps.scalars().all() == [7, None]
        seen = connection.execute(select(deliveries.c.seen).order_by(deliveries.c.id))
        assert seen.scalars().all() == [5, None]


def test_nothing_is_left_to_migrate_in_a_new_database(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with database.read() as connection:
        options = {"version_table": revisions.name, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert context.get_current_revision() == ScriptDirectory(FOLDER).get_current_head()
        differences = compare_metadata(context, metadata)
    assert [one for one in differences if revisions.name not in str(one)] == []


def test_only_older_tables_need_alembic(address: str) -> None:
    opened = f"""if True:
        import sys
        from pathlib import Path
        from serving.history.database import Database, database_url
        for _ in range(2):
            with Database(database_url({address!r}, Path())).read():
                assert "alembic" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", opened], check=True)


A_SOURCE = """
    INSERT INTO sources (name, first_time, newest, arrived, on_time, warm_until, rows, interval)
    VALUES (:name, 1, 1, 1, 1, 0, 0, 0.0)
"""

A_STEP = """
    INSERT INTO outbox (key, created, event, source, payload)
    VALUES (:key, 1, 'began', 'press-1', :payload)
"""
A_DELIVERY = """
    INSERT INTO deliveries (outbox_id, channel, channel_name, stops, state, attempts, due, done)
    VALUES (1, :state, 'mail', 0, :state, 1, 1, 5)
"""


@contextmanager
def _emptied(database: Database) -> Iterator[Connection]:
    """A transaction on the same database, without any table."""
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        revisions.drop(connection)
        yield connection


def _shape(database: Database) -> dict[str, Any]:
    """All that a database tells of its tables, but for the order of their columns."""
    with database.read() as connection:
        told = inspect(connection)
        return {
            name: {
                "columns": sorted(
                    (one["name"], str(one["type"]), one["nullable"], str(one["default"]))
                    for one in told.get_columns(name)
                ),
                "key": told.get_pk_constraint(name),
                "indexes": sorted(map(_index, told.get_indexes(name))),
                "unique": sorted(told.get_unique_constraints(name), key=str),
                "foreign": sorted(told.get_foreign_keys(name), key=str),
                "options": _options(connection, name),
            }
            for name in told.get_table_names()
        }


def _index(told: Mapping[str, Any]) -> tuple[str, ...]:
    where = {name: str(value) for name, value in told.get("dialect_options", {}).items()}
    return (str(told["name"]), str(told["column_names"]), str(told["unique"]), str(where))


def _options(connection: Connection, table: str) -> set[str]:
    """What SQLAlchemy does not tell of SQLite's tables."""
    if connection.dialect.name != "sqlite":
        return set()
    query = text("SELECT sql FROM sqlite_master WHERE name = :name")
    made = str(connection.execute(query, {"name": table}).scalar())
    return {word for word in ("AUTOINCREMENT", "WITHOUT ROWID") if word in made}


def test_tables_of_a_newer_service_are_left_alone(
    address: str, open_database: Callable[[str], Database]
) -> None:
    with open_database(address).write() as connection:
        connection.execute(text(f"UPDATE {revisions.name} SET version_num = '9999'"))
    with (
        pytest.raises(HistoryUnavailable, match="revision 9999, which a newer version"),
        open_database(address).read(),
    ):
        pass


def test_what_is_in_use_or_used_when_a_database_was_disposed_of_is_closed(
    database: Database,
) -> None:
    used: list[Any] = []
    with database.read() as connection:
        used.append(connection.connection.dbapi_connection)
        database.dispose()
        assert connection.execute(text("SELECT 1")).scalar() == 1
    with database.read() as connection:
        used.append(connection.connection.dbapi_connection)
    for one in used:
        with pytest.raises(Exception, match="closed"):
            one.execute("SELECT 1")
