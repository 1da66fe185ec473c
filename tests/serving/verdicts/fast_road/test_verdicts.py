"""What the fast road judges is counted and kept once, and judged for nobody whom keys keep out."""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI

from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from serving.history.record import Row
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.metrics.families import REQUESTS, VERDICTS
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.services import answer_of, listening, wait_until
from tests.serving.verdicts.fast_road.asking import asked, request
from tests.serving.verdicts.fast_road.conftest import Listen


def test_what_comes_in_one_turn_is_judged_in_one_go_and_each_is_told_its_own(
    press_line: Bundle, listen: Listen, judged: list[int]
) -> None:
    service = listen(press_line.folder)
    rows = [NORMAL_ROW, ANOMALOUS_ROW] * 8
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            for _ in rows
        ]
        wait_until(lambda: sum(one.client is not None for one in [*service.connections]) == 16)
        of_port = {one.client[1]: one for one in service.connections if one.client}
        in_turn = [of_port[client.getsockname()[1]] for client in clients]

        def all_at_once() -> None:
            for connection, row in zip(in_turn, rows, strict=True):
                connection.data_received(request(json.dumps({"values": row})))

        service.call(all_at_once)
        found = [json.loads(answer_of(client)[2])["status"] for client in clients]
    assert found == ["normal", "anomaly"] * 8
    assert judged[0] == 16  # and then the anomalies, by the way of the whole application


def test_each_request_and_each_verdict_counts_once_by_either_road(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder, database_url="none")
    with listening(app) as service:
        for row in (NORMAL_ROW, ANOMALOUS_ROW, [1.2, "a", 1.1]):
            asked(service, request(json.dumps({"values": row, "source": "press-01"})))
    counters = app.state.counts.snapshot().counters
    anomaly = [value for value in counters[REQUESTS.name] if value[0][1] == "/anomaly"]
    assert {labels[3]: count for labels, count in anomaly} == {"200": 2, "422": 1}
    assert sorted(count for _, count in counters[VERDICTS.name]) == [1, 1]
    assert app.state.counts.in_flight == 0


def test_each_verdict_is_kept_once_by_either_road(
    press_line: Bundle,
    make_app: Callable[..., FastAPI],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    app = make_app(press_line.folder, database_url=f"sqlite:///{tmp_path / 'history.db'}")
    kept: list[tuple[str | None, bool]] = []
    writer = app.state.history.observer.writer
    for name in ("put", "put_anomaly"):

        def put(record: Row, **how: bool) -> None:
            kept.append((record.origin.source, record.anomaly))
            if record.kept is not None:
                record.kept.set_result(None)

        monkeypatch.setattr(writer, name, put)
    with listening(app) as service:
        for row in (NORMAL_ROW, ANOMALOUS_ROW):
            asked(service, request(json.dumps({"values": row, "source": "press-01"})))
    assert kept == [("press-01", False), ("press-01", True)]


def test_a_request_that_takes_both_roads_counts_once_against_the_limit_of_its_key(
    press_line: Bundle, listen: Listen, tmp_path: Path
) -> None:
    record, key = make_key("press", ["score"], limit=3)
    KeyFile(tmp_path / "keys.json").add(record)
    service = listen(press_line.folder, keys_file=tmp_path / "keys.json")
    found = [
        asked(service, request(json.dumps({"values": row}), x_api_key=key))[0]
        for row in (ANOMALOUS_ROW, NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW)
    ]
    assert found == [200, 200, 200, 429]


@pytest.mark.parametrize("sent", [{}, {"x_api_key": "kz_nobody_nothing"}])
def test_without_a_key_that_holds_nothing_is_judged(
    press_line: Bundle, listen: Listen, tmp_path: Path, judged: list[int], sent: dict[str, str]
) -> None:
    record, _ = make_key("press", ["score"])
    KeyFile(tmp_path / "keys.json").add(record)
    service = listen(press_line.folder, keys_file=tmp_path / "keys.json")
    assert asked(service, request(**sent))[0] == 401
    assert judged == []


def test_a_key_is_looked_at_each_time_however_often_its_head_was_read(
    press_line: Bundle, make_app: Callable[..., FastAPI], tmp_path: Path
) -> None:
    record, key = make_key("press", ["score"])
    file = KeyFile(tmp_path / "keys.json")
    file.add(record)
    app = make_app(press_line.folder, database_url="none", keys_file=tmp_path / "keys.json")
    with listening(app) as service:
        sent = request(x_api_key=key)
        assert [asked(service, sent)[0] for _ in range(2)] == [200, 200]
        file.revoke(record.id)
        service.call(app.state.keys.refresh)
        assert asked(service, sent)[0] == 401


def test_whoever_waited_is_answered_even_if_telling_of_a_verdict_fails(
    press_line: Bundle,
    make_app: Callable[..., FastAPI],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app(press_line.folder, database_url="none")
    with listening(app) as service:
        with monkeypatch.context() as broken:
            broken.setattr(app.state.counts, "one", lambda *_: 1 / 0)
            assert asked(service, request())[0] == 500
        assert asked(service, request())[0] == 200
    assert app.state.counts.in_flight == 0


def test_an_error_that_nobody_foresaw_is_answered_by_the_application_for_each_request(
    press_line: Bundle, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the network broke")

    monkeypatch.setattr(Detector, "verdict", broken)
    status, headers, document = asked(listen(press_line.folder), request(x_request_id="line-3:17"))
    assert status == 500
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == "line-3:17"
    assert "broke" not in json.dumps(document)
