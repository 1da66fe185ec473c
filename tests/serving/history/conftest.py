"""The history over SQLite and over a real PostgreSQL: each test that asks for one runs on both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import Table, func, select
from starlette.testclient import TestClient

from bench.postgres import Postgres
from kizashi.runtime.bundle import Bundle
from serving.alarms.rules import Rules, rules_of
from serving.following.cache import Pointer
from serving.following.detectors import Served
from serving.history.database import Database, database_url
from serving.history.service import History
from serving.history.store import Store
from tests.databases import postgres_or_skip

AT_ONCE = {"default": {"warm_up": {"seconds": 0}}}
"""Rules under which an alarm begins with the third anomaly, also of a new source."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_or_skip() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[Callable[[str], Database]]:
    """Databases by address, closed afterwards."""
    opened: list[Database] = []

    def open_(address: str) -> Database:
        url = database_url(address, tmp_path)
        assert url is not None
        opened.append(Database(url))
        return opened[-1]

    yield open_
    for database in opened:
        database.dispose()


@pytest.fixture
def database(address: str, open_database: Callable[[str], Database]) -> Database:
    return open_database(address)


@pytest.fixture
def rules() -> Rules:
    return rules_of(AT_ONCE, "rules")


@pytest.fixture
def store(database: Database, rules: Rules) -> Store:
    return Store(database, rules)


@pytest.fixture
def served(press_line: Bundle) -> Served:
    pointer = Pointer(
        bundle=press_line.hash, name="press-line", version="3", source="here", since="now"
    )
    return Served(press_line, pointer)


@pytest.fixture
def history_client(
    press_line: Bundle, make_app: Callable[..., FastAPI], address: str, tmp_path: Path
) -> Iterator[TestClient]:
    """The whole service with a history, its lifespan included."""
    file = tmp_path / "rules.yaml"
    file.write_text("default: {warm_up: {seconds: 0}}\n", encoding="utf-8")
    app = make_app(press_line.folder, database_url=address, alarm_rules=file, allow_anonymous=True)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def settled(client: TestClient) -> History:
    """The client's history, once nothing waits to be written."""
    history: History = client.app.state.history  # type: ignore[attr-defined]
    assert history.writer.wait_until_written(60)
    return history


def count(database: Database, table: Table) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def array(row: list[float]) -> np.ndarray:
    return np.array([row], dtype=np.float64)
