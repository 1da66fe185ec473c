"""Bytes on a real connection that are no good HTTP, or only part of it."""

import gzip
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kizashi.runtime.bundle import Bundle
from tests.bundles import NORMAL_ROW
from tests.serving.faults.asking import INSIDE
from tests.serving.faults.tried import TRIED
from tests.serving.services import Running, answer_of, running

HOW = "on the wire"
PATIENCE = 2.0
BODY = json.dumps({"values": NORMAL_ROW}).encode()
ROAD = b"POST /anomaly HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = ROAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
HUNDRED_MEGABYTES = 100 * 1024 * 1024


@pytest.fixture(scope="module")
def service(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("wire")
    settings: dict[str, Any] = {"body_timeout_seconds": PATIENCE, "max_stream_bytes": 2**20}
    with running(bundle.folder, folder, **settings) as started:
        yield started


@pytest.fixture(autouse=True)
def good_afterwards(service: Running) -> Iterator[None]:
    """The next good request is answered as ever, by the process that began."""
    before = service.score(NORMAL_ROW)
    yield
    assert service.score(NORMAL_ROW) == before
    assert service.process.poll() is None
    assert "Traceback" not in service.log


def said(service: Running, sent: bytes) -> tuple[int, bytes]:
    """Status and body of the answer; 0 where the connection ends without one."""
    TRIED[HOW] += 1
    with service.connect() as connection:
        connection.sendall(sent)
        try:
            status, headers, body = answer_of(connection)
        except (OSError, ValueError, EOFError):
            return 0, b""
    assert not INSIDE.search(body)
    assert "x-evil" not in {name.lower() for name in headers}
    return status, body


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: localhost", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,  # a TLS greeting
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: a\rX-Evil: 1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%0d%0aX-Evil:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ),
        ROAD + b"Content-Length: -5\r\n\r\n",
        ROAD + b"Content-Length: 5x\r\n\r\n12345",
        ROAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        ROAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        ROAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ROAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        ROAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        ROAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        ROAD + b"Transfer-Encoding: nonsense\r\n\r\n" + BODY,
        ROAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + b"x" * len(BODY),
    ],
)
def test_what_is_no_good_http_is_refused(service: Running, sent: bytes) -> None:
    status, _ = said(service, sent)
    assert status < 500
    if sent.startswith(b"POST"):
        assert status != 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /model?" + b"a=b&" * 15_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["path", "header", "headers", "query"],
)
def test_a_head_without_end_breaks_nothing(service: Running, head: bytes) -> None:
    assert said(service, head)[0] < 500


@pytest.mark.parametrize(
    "path", [b"/anomaly", b"/anomaly/batch", b"/invocations", b"/api/alarms/shelve"]
)
def test_a_hundred_megabytes_are_refused_when_they_are_announced(
    service: Running, path: bytes
) -> None:
    kind = b"Content-Type: application/json"
    head = post(path, b"", kind).replace(b"Length: 0", b"Length: %d" % HUNDRED_MEGABYTES)
    assert said(service, head)[0] == 413


@pytest.mark.parametrize(
    "path", [b"/anomaly", b"/anomaly/batch", b"/invocations", b"/api/alarms/shelve"]
)
def test_a_hundred_megabytes_in_chunks_are_not_all_read(service: Running, path: bytes) -> None:
    TRIED[HOW] += 1
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    head = (
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" % path
    )
    before = resident(service)
    with service.connect() as connection:
        connection.sendall(head)
        connection.settimeout(20)
        taken = 0
        try:
            for _ in range(HUNDRED_MEGABYTES // 65_536):
                connection.sendall(chunk)
                taken += 65_536
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # the service has answered and ended the connection, or takes no more
        try:
            assert answer_of(connection)[0] == 413
        except OSError:
            assert taken < HUNDRED_MEGABYTES
    assert resident(service) - before < 70 * 1024 * 1024


def resident(service: Running) -> int:
    """Bytes of memory that the service has."""
    with open(f"/proc/{service.process.pid}/statm") as file:  # noqa: PTH123 - no file to keep
        return int(file.read().split()[1]) * 4096


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"deflate", b"br", b"zstd"])
@pytest.mark.parametrize("path", [b"/anomaly", b"/anomaly/batch", b"/invocations"])
def test_a_gzip_bomb_is_refused_unopened(service: Running, path: bytes, encoding: bytes) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    coded = b"Content-Encoding: " + encoding
    sent = post(path, bomb, b"Content-Type: application/json", coded)
    before = resident(service)
    assert said(service, sent)[0] == 415
    assert resident(service) - before < 20 * 1024 * 1024


@pytest.mark.parametrize("end", [0, 10, len(GOOD) // 2, len(GOOD) - 1])
@pytest.mark.parametrize("how", ["closed", "half-closed", "reset"])
def test_a_request_that_breaks_off_is_forgotten(service: Running, end: int, how: str) -> None:
    TRIED[HOW] += 1
    connection = service.connect()
    connection.sendall(GOOD[:end])
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half-closed":
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    connection.close()


def test_a_batch_whose_client_hangs_up_is_forgotten(service: Running) -> None:
    lines = b"[1.2,0.9,1.1]\n" * 60_000
    sent = post(b"/anomaly/batch", lines, b"Content-Type: application/x-ndjson")
    for share in (4, 2, 1):
        TRIED[HOW] += 1
        with service.connect() as connection:
            connection.sendall(sent[: len(sent) // share])


def test_requests_on_one_connection_are_answered_in_their_order(service: Running) -> None:
    bad = post(b"/anomaly", b"{", b"Content-Type: application/json")
    order = [GOOD, bad, GOOD, post(b"/nowhere", b""), GOOD]
    TRIED[HOW] += len(order)
    with service.connect() as connection:
        connection.sendall(b"".join(order))
        stream = connection.makefile("rb")
        statuses = []
        for _ in order:
            statuses.append(int(stream.readline().split()[1]))
            length = 0
            while (line := stream.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
    assert statuses == [200, 400, 200, 404, 200]


def test_slow_clients_by_the_hundred_keep_nobody_waiting(service: Running) -> None:
    slow = []
    for number in range(200):
        TRIED[HOW] += 1
        connection = service.connect()
        connection.sendall(GOOD[: 20 + number % (len(GOOD) - 21)])
        slow.append(connection)
    assert service.score(NORMAL_ROW)["status"] == "normal"
    deadline = time.monotonic() + 30
    for connection in slow:  # each is answered with 408, or closed
        connection.settimeout(max(1.0, deadline - time.monotonic()))
        assert connection.recv(4096)[:12] in (b"", b"HTTP/1.1 408")
        connection.close()
