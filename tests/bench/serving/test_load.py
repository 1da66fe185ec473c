"""The client that drives servers, against servers that misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import pytest

from bench.serving import load
from bench.serving.load import ID, drive, quantiles
from serving.http.requests import SANE_ID

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Model-Version: 7\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
BAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"

Answer = Callable[[socket.socket, int], None]


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's clock goes on at each look: a load is as long on any machine."""
    looks = count()
    clock = SimpleNamespace(
        perf_counter=lambda: next(looks) / 1000, perf_counter_ns=time.perf_counter_ns
    )
    monkeypatch.setattr(load, "time", clock)


@contextmanager
def server(answer: Answer, heads: list[bytes] | None = None) -> Iterator[int]:
    """A server of one answer for each request, with the number of the request."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        open_lines: list[socket.socket] = []

        def attend(line: socket.socket) -> None:
            number = 0
            try:
                while head := line.recv(65536):
                    if heads is not None:
                        heads.append(head)
                    answer(line, number)
                    number += 1
            except OSError:
                return

        def accept() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                open_lines.append(line)
                threading.Thread(target=attend, args=(line,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for line in open_lines:
                line.close()


def spec(port: int, **changed: object) -> dict[str, object]:
    request = "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    plain = {"host": "127.0.0.1", "port": port, "seconds": 0.2, "connections": 3}
    return {**plain, "requests": [request], **changed}


def test_every_request_has_an_id_of_its_own() -> None:
    heads: list[bytes] = []

    def keep(line: socket.socket, number: int) -> None:
        line.sendall(GOOD)

    request = f"POST / HTTP/1.1\r\nX-Request-ID: {ID.decode()}\r\nContent-Length: 0\r\n\r\n"
    with server(keep, heads) as port:
        found = drive(spec(port, requests=[request]))
    ids = [head.partition(b"X-Request-ID: ")[2].partition(b"\r\n")[0] for head in heads]
    assert len(set(ids)) == len(ids) == found["requests"]
    assert all(SANE_ID.fullmatch(one) for one in ids)


@pytest.mark.parametrize("whole", [GOOD, CHUNKED])
def test_answers_are_counted_however_they_are_cut(whole: bytes) -> None:
    def in_pieces(line: socket.socket, number: int) -> None:
        for byte in range(0, len(whole), 20):
            line.sendall(whole[byte : byte + 20])

    with server(in_pieces) as port:
        found = drive(spec(port))
    assert found["requests"] > 3 and found["failures"] == 0
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["worst_us"]


def test_an_answer_that_is_not_good_is_a_failure_and_is_quoted() -> None:
    def every_other(line: socket.socket, number: int) -> None:
        line.sendall(BAD if number % 2 else GOOD)

    with server(every_other) as port:
        found = drive(spec(port))
    assert 0 < found["failures"] < found["requests"]
    assert found["shown"][0].startswith("HTTP/1.1 503")


def test_a_closed_connection_is_a_failure_and_the_load_goes_on() -> None:
    def once(line: socket.socket, number: int) -> None:
        if number:
            line.shutdown(socket.SHUT_RDWR)
        else:
            line.sendall(GOOD)

    with server(once) as port:
        found = drive(spec(port))
    assert found["failures"] > 3 and found["requests"] > 3


def test_versions_that_answered_are_counted() -> None:
    with server(lambda line, number: line.sendall(GOOD)) as port:
        found = drive(spec(port, watch="x-model-version"))
    assert found["seen"] == {"7": found["requests"]}


def test_quantiles_are_of_the_ordered_latencies() -> None:
    found = quantiles([float(value) for value in range(1000, 0, -1)])
    assert found == {"p50_us": 501, "p99_us": 991, "p999_us": 1000, "worst_us": 1000}
