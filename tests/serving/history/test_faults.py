"""An answered anomaly is never lost: a real service that is killed, starved and left alone."""

import json
import resource
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from bench.history.asking import Asking
from bench.postgres import LOG_FILE_BYTES, Postgres
from kizashi.runtime.bundle import Bundle
from serving.errors import HistoryUnavailable
from serving.history.database import Database
from serving.history.tables import (
    ANOMALY,
    alarms,
    audit,
    occurrences,
    outbox,
    sources,
    verdicts,
)
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.databases import postgres_or_skip
from tests.linux import open_files
from tests.serving.history.conftest import count
from tests.serving.services import Running, running, wait_until

RULES = "default: {warm_up: {seconds: 0}}\n"


@pytest.fixture
def service(press_line: Bundle, tmp_path: Path) -> Callable[..., Any]:
    """A service over the press line's bundle and a database."""

    def made(address: str, name: str = "one", workers: int = 1) -> Any:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        rules = folder / "rules.yaml"
        return running(
            press_line.folder,
            folder,
            database_url=address,
            alarm_rules=rules,
            workers=workers,
        )

    return made


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may stop."""
    with postgres_or_skip() as server:
        yield server


def post(
    service: Running, path: str, body: object, request_id: str = "", seconds: float = 30
) -> tuple[int, dict[str, str], Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{service.port}{path}", json.dumps(body).encode()
    )
    request.add_header("Content-Type", "application/json")
    if request_id:
        request.add_header("X-Request-ID", request_id)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, dict(refusal.headers), json.load(refusal)


def anomaly(service: Running, request_id: str = "", source: str = "press-01") -> int:
    return post(service, "/anomaly", {"values": ANOMALOUS_ROW, "source": source}, request_id)[0]


def normal(service: Running, source: str = "press-01") -> int:
    return post(service, "/anomaly", {"values": NORMAL_ROW, "source": source})[0]


def kept_ids(database: Database) -> set[str]:
    with database.read() as connection:
        query = select(verdicts.c.request_id).where(verdicts.c.flags.op("&")(ANOMALY) == ANOMALY)
        return set(connection.execute(query).scalars())


def test_a_service_killed_under_load_has_kept_every_anomaly_that_it_answered(
    service: Callable[..., Any], address: str, database: Database
) -> None:
    with (
        service(address) as running,
        Asking(running.port, ANOMALOUS_ROW, NORMAL_ROW, sources=6) as asking,
    ):
        wait_until(lambda: len(asking.anomalies) > 60 and count(database, outbox) == 6)
        running.process.send_signal(signal.SIGKILL)
    assert set(asking.anomalies) <= kept_ids(database)
    # What the alarms are and what is to be told of them was committed with the anomalies.
    assert count(database, alarms) == 6
    assert count(database, outbox) == count(database, audit) == 6


def test_what_waits_is_written_before_the_service_ends(
    service: Callable[..., Any], address: str, database: Database
) -> None:
    with service(address) as running:
        for _ in range(50):
            assert normal(running) == 200
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(180)
    assert count(database, verdicts) == 50


def test_a_reader_of_events_does_not_keep_a_service_from_ending(
    service: Callable[..., Any], tmp_path: Path
) -> None:
    with service(f"sqlite:///{tmp_path}/history.db") as running:
        with running.connect() as reader:
            reader.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            told = b""
            while b"event: hello" not in told:
                told += reader.recv(4096)
            assert anomaly(running) == 200
            while b"event: rows" not in told:
                told += reader.recv(4096)
            running.process.send_signal(signal.SIGTERM)
            while piece := reader.recv(4096):  # to the end of the stream, not of the connection
                told += piece
        assert told.endswith(b"0\r\n\r\n")
        assert running.process.wait(180) in (0, -signal.SIGTERM)


def test_a_full_disk_is_answered_with_503_and_forgotten_when_there_is_room(
    service: Callable[..., Any], tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    address = f"sqlite:///{tmp_path}/history.db"
    with service(address) as running:
        assert anomaly(running, "before") == 200
        pid = running.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
        body = {"values": ANOMALOUS_ROW, "source": "press-01"}
        status, headers, problem = post(running, "/anomaly", body, "during")
        assert (status, headers["retry-after"]) == (503, "2")
        assert "the verdict was reached and could not be recorded" in problem["detail"]
        assert normal(running) == 200
        status, ready = running.get("/health/ready")
        assert status == 200
        assert any("anomalies are answered with 503" in one for one in json.loads(ready)["notes"])
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        wait_until(lambda: anomaly(running, "after") == 200)
        assert json.loads(running.get("/health/ready")[1])["notes"] == []
    database = open_database(address)
    assert {"before", "after"} <= kept_ids(database)
    assert "during" not in kept_ids(database)
    with database.read() as connection:
        normal_rows = select(verdicts.c.id).where(verdicts.c.flags.op("&")(ANOMALY) == 0)
        assert len(connection.execute(normal_rows).all()) == 1


def test_a_database_that_stops_is_answered_with_503_until_it_is_back(
    service: Callable[..., Any],
    own_postgres: Postgres,
    open_database: Callable[[str], Database],
) -> None:
    address = own_postgres.new_database()
    with service(address) as running:
        assert anomaly(running, "before") == 200
        own_postgres.stop()
        assert anomaly(running, "during") == 503
        assert [normal(running) for _ in range(3)] == [200] * 3
        status, body = running.get("/api/sources")
        assert status == 503
        assert "the history cannot be reached" in body
        own_postgres.start()
        wait_until(lambda: anomaly(running, "after") == 200)
        wait_until(lambda: running.get("/api/sources")[0] == 200)
    database = open_database(address)
    assert {"before", "after"} <= kept_ids(database)
    with database.read() as connection:
        (source,) = connection.execute(select(sources)).all()
    assert source.rows == 3 + len(kept_ids_of_all(database))


def kept_ids_of_all(database: Database) -> list[str]:
    with database.read() as connection:
        query = select(verdicts.c.request_id).where(verdicts.c.flags.op("&")(ANOMALY) == ANOMALY)
        return list(connection.execute(query).scalars())


def test_a_database_whose_disk_is_full_is_answered_with_503_until_there_is_room(
    service: Callable[..., Any],
    own_postgres: Postgres,
    open_database: Callable[[str], Database],
) -> None:
    address = own_postgres.new_database()
    database = open_database(address)
    answers: dict[str, int] = {}

    with service(address) as running:

        def ask(name: str) -> int:
            request_id = f"{name}-{len(answers)}"
            answers[request_id] = anomaly(running, request_id)
            return answers[request_id]

        assert ask("before") == 200
        own_postgres.limit(LOG_FILE_BYTES)
        with pytest.raises(HistoryUnavailable):
            fill(database)
        wait_until(lambda: ask("during") == 503)  # a last page may have room for some
        assert normal(running) == 200
        notes = json.loads(running.get("/health/ready")[1])["notes"]
        assert any("anomalies are answered with 503" in one for one in notes)
        assert "could not extend file" in running.log
        own_postgres.limit("unlimited")
        wait_until(lambda: ask("after") == 200)
    assert kept_ids(database) == {one for one, status in answers.items() if status == 200}


def fill(database: Database) -> None:
    """Let the verdicts' table grow as far as it can; what is added is taken back."""
    columns = [column for column in verdicts.c if column is not verdicts.c.id]
    copies = select(*columns, func.generate_series(1, 1_000_000)).subquery()
    with database.write() as connection:
        rows = select(*(copies.c[column.name] for column in columns))
        connection.execute(insert(verdicts).from_select([c.name for c in columns], rows))


def test_a_database_that_hangs_is_answered_with_503_until_it_answers_again(
    service: Callable[..., Any], own_postgres: Postgres
) -> None:
    with service(own_postgres.new_database()) as running:
        assert anomaly(running) == 200
        own_postgres.freeze()
        try:
            assert anomaly(running) == 503
            assert normal(running) == 200
        finally:
            own_postgres.thaw()
        wait_until(lambda: anomaly(running) == 200)


def test_the_workers_of_a_service_share_a_file(
    service: Callable[..., Any], tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    address = f"sqlite:///{tmp_path}/history.db"
    with service(address, workers=2) as running:
        # The second to start may answer before it has opened the file.
        file = str(tmp_path / "history.db")
        wait_until(lambda: all(file in open_files(pid) for pid in running.workers()))
        threads = [
            threading.Thread(target=lambda: [anomaly(running) for _ in range(15)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(180)
    database = open_database(address)
    assert count(database, verdicts) == 60
    assert count(database, occurrences) == count(database, outbox) == 1


def test_a_service_starts_and_answers_what_is_normal_without_its_database(
    service: Callable[..., Any], own_postgres: Postgres
) -> None:
    address = own_postgres.new_database()
    own_postgres.stop()
    with service(address) as running:
        assert normal(running) == 200
        assert anomaly(running) == 503
        own_postgres.start()
        wait_until(lambda: anomaly(running) == 200)


def test_two_services_on_one_database_share_one_alarm(
    service: Callable[..., Any], postgres: Postgres, open_database: Callable[[str], Database]
) -> None:
    address = postgres.new_database()
    with service(address, "one") as one, service(address, "two") as two:
        threads = [
            threading.Thread(target=lambda each=each: [anomaly(each) for _ in range(20)])
            for each in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(180)
        asked = {"source": "press-01", "kind": "anomaly", "comment": "on my way"}
        status, _, told = post(two, "/api/alarms/acknowledge", asked)
        assert (status, told["alarms"][0]["state"]) == (200, "acknowledged")
        assert post(one, "/api/alarms/acknowledge", asked)[0] == 409
    database = open_database(address)
    assert count(database, verdicts) == 40
    assert count(database, alarms) == count(database, occurrences) == 1
    with database.read() as connection:
        steps = connection.execute(select(audit.c.event, audit.c.who).order_by(audit.c.id)).all()
        (occurrence,) = connection.execute(select(occurrences)).all()
    assert [tuple(step) for step in steps] == [("began", "kizashi"), ("acknowledged", "anonymous")]
    assert occurrence.rows == 38
    assert occurrence.comment == "on my way"
