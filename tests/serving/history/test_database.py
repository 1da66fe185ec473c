from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from kizashi.errors import ConfigurationError
from serving.__main__ import main
from serving.errors import HistoryUnavailable
from serving.history.database import Database, database_url
from serving.history.tables import VERSION_TABLE, metadata
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


def test_migrated_tables_are_the_ones_that_the_code_knows(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        differences = compare_metadata(context, metadata)
    assert [one for one in differences if VERSION_TABLE not in str(one)] == []


def test_tables_of_a_newer_service_are_left_alone(
    address: str, open_database: Callable[[str], Database]
) -> None:
    with open_database(address).write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
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
