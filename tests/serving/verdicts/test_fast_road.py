"""The fast road beside the application: `access_log` has every request pass all layers."""

import gc
import json
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import parse_headers
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI

from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from serving.history.record import Row
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.metrics.families import REQUESTS, VERDICTS
from serving.verdicts.fast_road import KEPT_HEADS, LONGEST_HEAD
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.services import Listening, answer_of, listening, wait_until

Listen = Callable[..., Listening]
ROW = {"values": NORMAL_ROW}
BODIES: dict[str, str | bytes] = {
    "normal": json.dumps(ROW),
    "whole numbers": '{"values": [1, 1, 1]}',
    "anomalous": json.dumps({"values": ANOMALOUS_ROW}),
    "beyond the instrument": '{"values": [1e6, 0.9, 1.1]}',
    "beyond a float": '{"values": [1e400, 0.9, 1.1]}',
    "beyond a square": '{"values": [1e200, 0.9, 1.1]}',
    "a huge whole number": '{"values": [%s, 0.9, 1.1]}' % ("9" * 400),
    "minus zero": '{"values": [-0.0, 0.9, 1.1]}',
    "missing": '{"values": [null, 0.9, 1.1]}',
    "a text": '{"values": ["1.2", 0.9, 1.1]}',
    "true": '{"values": [true, 0.9, 1.1]}',
    "by name": '{"values": {"vibration": 1.2, "current": 0.9, "sound": 1.1}}',
    "a window of one": '{"values": [[1.2, 0.9, 1.1]]}',
    "too few": '{"values": [1.2, 0.9]}',
    "none": '{"values": []}',
    "no values": "{}",
    "a source": json.dumps(ROW | {"source": "press-01"}),
    "a source that is empty": json.dumps(ROW | {"source": ""}),
    "a source of control characters": json.dumps(ROW | {"source": "a\nb"}),
    "a time": json.dumps(ROW | {"timestamp": "2026-01-31T08:00:00+09:00"}),
    "a time without its zone": json.dumps(ROW | {"timestamp": "2026-01-31T08:00:00"}),
    "an unknown name": json.dumps(ROW | {"sauce": "press-01"}),
    "a name twice": '{"values": [1.2, 0.9, 1.1], "source": "a", "source": "b"}',
    "a name twice, escaped": '{"values": [1.2, 0.9, 1.1], "v\\u0061lues": [9, 9, 9]}',
    "not JSON": '{"values": [1.2, 0.9, 1.1',
    "bad UTF-8": b'{"values": [1.2, 0.9, 1.1], "source": "\xff"}',
    "nothing": "",
    "deep": "[" * 100_000,
}
HEADS: dict[str, dict[str, str]] = {
    "plain": {},
    "no type": {"Content_Type": ""},
    "another type": {"Content_Type": "text/plain"},
    "a charset": {"Content_Type": "application/json; charset=utf-8"},
    "compressed": {"Content_Encoding": "gzip"},
    "another site": {"Origin": "http://elsewhere.example"},
    "its own page": {"Sec_Fetch_Site": "same-origin"},
    "an id": {"X_Request_ID": "line-3:17"},
    "an id that is not sane": {"X_Request_ID": "a b"},
    "more than one answer": {"Expect": "something else"},
}


@pytest.fixture
def listen(make_app: Callable[..., FastAPI]) -> Iterator[Listen]:
    """The service over a bundle, listening, with other settings by keyword."""
    with ExitStack() as stack:

        def listens(folder: Path, **settings: object) -> Listening:
            app = make_app(folder, **({"database_url": "none"} | settings))
            return stack.enter_context(listening(app))

        yield listens


@pytest.fixture
def both(press_line: Bundle, listen: Listen) -> tuple[Listening, Listening]:
    """The service with the fast road and without."""
    return listen(press_line.folder), listen(press_line.folder, access_log=True)


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that reached the application."""
    reached: list[str] = []
    real = FastAPI.__call__

    async def application(self: FastAPI, scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await real(self, scope, receive, send)

    monkeypatch.setattr(FastAPI, "__call__", application)
    return reached


def request(body: str | bytes = BODIES["normal"], query: str = "", **head: str) -> bytes:
    """A POST /anomaly as it is sent."""
    content = body.encode() if isinstance(body, str) else body
    named = {"Host": "localhost", "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in head.items()}
    named |= {"Content-Length": str(len(content))}
    lines = [f"POST /anomaly{query} HTTP/1.1", *(f"{name}: {named[name]}" for name in named)]
    return "\r\n".join([*lines, "", ""]).encode() + content


def asked(service: Listening, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of what is answered on a connection of its own."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent)
        status, headers, body = answer_of(connection)
    return status, {name.lower(): value for name, value in headers.items()}, json.loads(body)


def told(service: Listening, sent: bytes) -> object:
    """The answer without an id that the service made."""
    status, headers, document = asked(service, sent)
    request_id = headers.pop("x-request-id")
    if request_id.encode() in sent:
        return status, headers, document
    if document.pop("request_id", None) is not None:
        headers.pop("content-length")
    return status, headers, document


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body_is_answered_as_by_the_application(
    both: tuple[Listening, Listening], body: str | bytes
) -> None:
    fast, whole = both
    assert told(fast, request(body)) == told(whole, request(body))


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("query", ["", "?detail=full", "?detail=wrong"])
def test_any_head_is_answered_as_by_the_application(
    both: tuple[Listening, Listening], head: dict[str, str], query: str
) -> None:
    fast, whole = both
    sent = request(query=query, **head)
    assert told(fast, sent) == told(whole, sent)


CONTENT = b'{"values": [1.2, 0.9, 1.1]}'
NAMED = b"Host: localhost\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(CONTENT)
POST = b"POST /anomaly HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /anomaly HTTP/1.0\r\n" + NAMED + LENGTH + b"\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"Connection: close\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"Connection: Keep-Alive\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"Proxy-Connection: close\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + LENGTH + b"\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"Content-Type: text/plain\r\n\r\n" + CONTENT,
        POST + NAMED + b"Content-Length: +27\r\n\r\n" + CONTENT,
        POST + NAMED + b"Content-Length: 1_0\r\n\r\n" + CONTENT,
        POST + NAMED + b"Transfer-Encoding: chunked\r\n\r\n1b\r\n" + CONTENT + b"\r\n0\r\n\r\n",
        POST + NAMED + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"X-Long: " + b"x" * 5000 + b"\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"a name: of two words\r\n\r\n" + CONTENT,
        POST + NAMED + LENGTH + b"X-Bare: one\n\r\n" + CONTENT,
        POST + NAMED + b"\r\n",
        POST + b"\r\n",
        POST + b"no colon\r\n\r\n" + CONTENT,
    ],
)
def test_what_is_no_plain_request_is_answered_as_by_the_application(
    both: tuple[Listening, Listening], sent: bytes
) -> None:
    found = []
    for service in both:
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            connection.sendall(sent)
            status, headers, body = answer_of(connection)
            connection.shutdown(socket.SHUT_WR)
            rest = connection.recv(1000)
        lines = {name.lower(): value for name, value in headers.items()}
        for name in ("x-request-id", "content-length"):
            lines.pop(name, None)
        document = json.loads(body) if body.startswith(b"{") else body.decode()
        if isinstance(document, dict):
            document.pop("request_id", None)
        found.append((status, lines, document, rest))
    assert found[0] == found[1]


def test_a_model_of_windows_is_asked_behind_the_layers(
    tmp_path: Path, listen: Listen, behind: list[str]
) -> None:
    service = listen(press_line_bundle(tmp_path / "windows", window_length=3).folder)
    status, _, document = asked(service, request())
    assert status == 422
    assert "windows of" in document["detail"]
    assert behind == ["/anomaly"]


def test_what_is_normal_passes_no_layer_and_all_else_does(
    press_line: Bundle, listen: Listen, behind: list[str]
) -> None:
    service = listen(press_line.folder)
    for body in ("normal", "anomalous", "normal", "a source", "a time"):
        assert asked(service, request(BODIES[body]))[0] == 200
    assert behind == ["/anomaly"]


def test_a_body_that_comes_after_its_head_takes_the_road_too(
    press_line: Bundle, listen: Listen, behind: list[str]
) -> None:
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


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows were judged each time."""
    found: list[int] = []
    together, alone = Detector.verdicts, Detector.verdict

    def counted(self: Detector, windows_BTF: npt.NDArray[np.float64]) -> Any:
        found.append(len(windows_BTF))
        return together(self, windows_BTF)

    def one(self: Detector, window_TF: npt.NDArray[np.float64]) -> Any:
        found.append(1)
        return alone(self, window_TF)

    monkeypatch.setattr(Detector, "verdicts", counted)
    monkeypatch.setattr(Detector, "verdict", one)
    return found


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
