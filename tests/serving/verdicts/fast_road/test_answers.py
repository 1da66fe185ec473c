"""The fast road beside the application: `access_log` has every request pass all layers."""

import json
import socket
from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from tests.bundles import press_line_bundle
from tests.serving.services import Listening, answer_of
from tests.serving.verdicts.fast_road.asking import BODIES, CONTENT, asked, request, told
from tests.serving.verdicts.fast_road.conftest import Listen

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
