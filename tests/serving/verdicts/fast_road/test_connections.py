"""Connections on the fast road: what comes in pieces, together, late, or from who is gone."""

import gc
import json
import socket
import time
import weakref
from collections.abc import Callable
from http.client import parse_headers
from typing import Any

import pytest
from fastapi import FastAPI

from kizashi.runtime.bundle import Bundle
from serving.http import connections
from serving.verdicts.fast_road import KEPT_HEADS, LONGEST_HEAD
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.services import answer_of, listening, wait_until
from tests.serving.verdicts.fast_road.asking import CONTENT, asked, request
from tests.serving.verdicts.fast_road.conftest import Listen


def test_a_body_that_comes_after_its_head_takes_the_road_too(
    press_line: Bundle, listen: Listen, behind: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "APART_SECONDS", 60.0)  # however slow this machine is
    service = listen(press_line.folder)
    sent = request()
    for place in (-len(CONTENT), -1):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            for _ in range(2):
                connection.sendall(sent[:place])
                time.sleep(0.02)
                connection.sendall(sent[place:])
                assert answer_of(connection)[0] == 200
    assert behind == []


def test_a_body_that_comes_late_is_waited_for_behind_the_layers(
    press_line: Bundle, listen: Listen, behind: list[str]
) -> None:
    service = listen(press_line.folder)
    sent = request()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent[:-5])
        wait_until(lambda: behind == ["/anomaly"])
        connection.sendall(sent[-5:])
        assert answer_of(connection)[0] == 200
        connection.sendall(sent)  # and then the road is open again
        assert answer_of(connection)[0] == 200
    assert behind == ["/anomaly"]


def test_requests_that_come_in_one_piece_are_answered_in_turn(
    press_line: Bundle, listen: Listen
) -> None:
    service = listen(press_line.folder)
    rows = [NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW, [1.2], NORMAL_ROW]
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(b"".join(request(json.dumps({"values": row})) for row in rows))
        with connection.makefile("rb") as reading:
            found = [_next_answer(reading)[1].get("status") for _ in rows]
    assert found == ["normal", "anomaly", "normal", 422, "normal"]


def _next_answer(reading: Any) -> tuple[str, Any]:
    """The id of the next request that is answered on a connection, and the document."""
    reading.readline()
    headers = parse_headers(reading)
    return headers["x-request-id"], json.loads(reading.read(int(headers["content-length"])))


def test_a_request_that_comes_before_the_last_is_answered_waits_for_it(
    press_line: Bundle, listen: Listen
) -> None:
    service = listen(press_line.folder)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        wait_until(lambda: len(service.connections) == 1)
        (served,) = service.connections

        def both_at_once() -> None:
            served.data_received(request(x_request_id="first"))
            served.data_received(request(x_request_id="second"))

        service.call(both_at_once)
        with connection.makefile("rb") as reading:
            assert [_next_answer(reading)[0] for _ in range(2)] == ["first", "second"]


@pytest.mark.parametrize("path", ["/anomaly/batch", "/nowhere", "/anomaly"])
def test_a_body_that_looks_like_a_request_is_a_body(
    press_line: Bundle, listen: Listen, path: str
) -> None:
    service = listen(press_line.folder)
    within = request()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
    head += f"Content-Length: {len(within)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head.encode())
        time.sleep(0.1)  # so that the body comes alone
        connection.sendall(within)
        status, _, body = answer_of(connection)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert status >= 400
    assert b'"score"' not in body


def test_who_is_gone_is_not_judged_for(
    press_line: Bundle, listen: Listen, judged: list[int]
) -> None:
    service = listen(press_line.folder)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30):
        wait_until(lambda: len(service.connections) == 1)
        (served,) = service.connections

        def ask_and_go() -> None:
            served.data_received(request())
            served.connection_lost(None)

        service.call(ask_and_go)
    assert asked(service, request())[0] == 200
    assert judged == [1]


def test_a_service_that_ends_answers_what_it_was_asked_before(
    press_line: Bundle, listen: Listen, behind: list[str]
) -> None:
    service = listen(press_line.folder)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        wait_until(lambda: len(service.connections) == 1)
        (served,) = service.connections

        def ask_and_end() -> None:
            served.data_received(request())
            served.shutdown()

        service.call(ask_and_end)
        status, headers, _ = answer_of(connection)
        assert (status, headers["connection"]) == (200, "close")
    assert behind == ["/anomaly"]


def test_of_many_different_heads_only_some_are_kept(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder, database_url="none")
    with (
        listening(app) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection,
    ):
        for place in range(KEPT_HEADS + 20):
            connection.sendall(request(x_request_id=str(place)))
            status, headers, _ = answer_of(connection)
            assert (status, headers["x-request-id"]) == (200, str(place))
    assert 1 <= len(app.state.fast_road._heads) <= KEPT_HEADS


def test_a_head_that_is_too_long_for_the_road_is_not_kept(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder, database_url="none")
    with listening(app) as service:
        assert asked(service, request(x_long="x" * LONGEST_HEAD))[0] == 200
    assert app.state.fast_road._heads == {}


def test_a_connection_that_ended_is_forgotten_at_once(press_line: Bundle, listen: Listen) -> None:
    service = listen(press_line.folder)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(request())
        assert answer_of(connection)[0] == 200
        (served,) = [weakref.ref(one) for one in service.connections]
    wait_until(lambda: gc.collect() >= 0 and served() is None)


def test_who_was_answered_between_two_looks_is_not_taken_for_silent(
    press_line: Bundle, listen: Listen
) -> None:
    service = listen(press_line.folder)
    sent = request()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        wait_until(lambda: len(service.connections) == 1)
        (served,) = service.connections  # was looked at as it came
        connection.sendall(sent)
        assert answer_of(connection)[0] == 200

        def look_amid_a_head() -> None:
            served.data_received(sent[:10])
            served._look()

        service.call(look_amid_a_head)
        connection.sendall(sent[10:])
        assert answer_of(connection)[0] == 200
