"""A database that takes nothing is told of, whether or not a row has come to find out."""

import threading
from collections.abc import Callable
from pathlib import Path
from sqlite3 import ProgrammingError

import pytest
from fastapi import FastAPI
from sqlalchemy.engine import URL
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.errors import HistoryUnavailable
from serving.history.database import database_url
from tests.bundles import ANOMALOUS_ROW
from tests.databases import postgres_or_skip
from tests.serving.services import wait_until

MakeApp = Callable[..., FastAPI]


def require_told_until_mended(app: FastAPI, mend: Callable[[], object]) -> None:
    """While no row comes: not before the start, then until the database is there."""
    client = TestClient(app)
    failing = "kizashi_history_failing 1.0"

    def notes() -> list[str]:
        answer = client.get("/health/ready")
        assert answer.status_code == 200
        return list(answer.json()["notes"])

    assert notes() == []
    app.state.history.start()
    try:
        wait_until(lambda: notes() != [])
        (note,) = notes()
        assert note.startswith("anomalies are answered with 503, normal rows are not kept: the")
        assert failing in client.get("/metrics").text
        mend()
        wait_until(lambda: notes() == [])
        assert failing not in client.get("/metrics").text
        assert client.post("/anomaly", json={"values": ANOMALOUS_ROW}).status_code == 200
    finally:
        app.state.history.close()


def test_a_file_that_cannot_be_made_is_told_before_any_row(
    press_line: Bundle, make_app: MakeApp, tmp_path: Path
) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("no folder")
    app = make_app(press_line.folder, database_url=f"sqlite:///{blocked}/history.db")
    require_told_until_mended(app, blocked.unlink)


def test_a_server_that_is_down_is_told_before_any_row(
    press_line: Bundle, make_app: MakeApp
) -> None:
    with postgres_or_skip() as server:
        app = make_app(press_line.folder, database_url=server.new_database())
        server.stop()
        require_told_until_mended(app, server.start)


def test_a_database_that_is_lost_while_no_row_comes_is_told(
    press_line: Bundle, make_app: MakeApp
) -> None:
    with postgres_or_skip() as server:
        app = make_app(press_line.folder, database_url=server.new_database())
        client, history = TestClient(app), app.state.history
        history.start()
        try:
            assert client.post("/anomaly", json={"values": ANOMALOUS_ROW}).status_code == 200
            server.stop()
            wait_until(lambda: history.writer.problem is not None)
            assert client.get("/health/ready").json()["notes"] != []
            server.start()
            wait_until(lambda: history.writer.problem is None)
        finally:
            history.close()


def test_upkeep_that_has_to_wait_for_others_says_nothing_of_rows(
    press_line: Bundle, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.history.service.UPKEEP_SECONDS", 0.05)
    app = make_app(press_line.folder, database_url=f"sqlite:///{tmp_path}/history.db")
    history, rounds = app.state.history, []

    def once(now: int) -> None:
        rounds.append((now, history.writer.problem))
        raise HistoryUnavailable("the database is locked")

    monkeypatch.setattr(history.upkeep, "once", once)
    history.start()
    try:
        wait_until(lambda: len(rounds) > 2)
    finally:
        history.close()
    assert [problem for _, problem in rounds if problem is not None] == []


def test_a_database_that_is_opened_while_the_service_ends_is_closed_too(
    press_line: Bundle, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, ended = threading.Event(), threading.Event()

    def slowly(value: str, folder: Path) -> URL | None:
        opening.set()
        ended.wait(0.5)
        return database_url(value, folder)

    app = make_app(press_line.folder, database_url=f"sqlite:///{tmp_path}/history.db")
    monkeypatch.setattr("serving.history.database.database_url", slowly)
    monkeypatch.setattr("serving.history.service.OPEN_SECONDS", 0.0)
    monkeypatch.setattr("serving.history.service.UPKEEP_SECONDS", 0.01)
    history, used = app.state.history, []
    history.start()
    assert opening.wait(180)
    history.close()
    ended.set()
    with history.database.read() as connection:
        used.append(connection.connection.dbapi_connection)
    with pytest.raises(ProgrammingError, match="closed"):
        used[0].execute("SELECT 1")


def test_what_a_row_met_is_believed_for_a_while_although_no_row_waits(
    press_line: Bundle, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes a transaction that writes nothing."""
    app = make_app(press_line.folder, database_url=f"sqlite:///{tmp_path}/history.db")
    client, writer = TestClient(app), app.state.history.writer

    def full(*_: object) -> None:
        raise HistoryUnavailable("the disk is full")

    monkeypatch.setattr(app.state.history.store, "write", full)
    try:
        assert client.post("/anomaly", json={"values": ANOMALOUS_ROW}).status_code == 503
        writer.can_write()
        assert writer.problem == "the disk is full"
        monkeypatch.setattr("serving.history.writer.ROW_BELIEVED_SECONDS", 0.0)
        writer.can_write()
        assert writer.problem is None
    finally:
        app.state.history.close()


@pytest.mark.parametrize("waiting", [False, True])
def test_records_that_wait_find_out_themselves_whether_the_database_is_back(
    press_line: Bundle, make_app: MakeApp, tmp_path: Path, waiting: bool
) -> None:
    app = make_app(press_line.folder, database_url=f"sqlite:///{tmp_path}/history.db")
    writer = app.state.history.writer
    writer.cannot_write(HistoryUnavailable("it is full"))
    if waiting:
        writer._queue.append(object())
    writer.can_write()
    assert writer.problem == ("it is full" if waiting else None)
