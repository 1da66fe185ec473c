"""The fast road: what factories send all day is answered in a straight line.

An HTTP server's account of a request, the layers of the application, its router and its models of
requests cost several times what a verdict does. A POST /anomaly that is in order in every way, and
whose row is normal, does not need them: a key that holds, one row of finite numbers, nothing asked
for besides. It is answered here, with all that came in the same turn of the event loop: a network
reads its weights once for all of their rows. Nobody waits for company.

Whatever is not so is handed on, byte for byte as it came, to Uvicorn and the application, which
judge it from the start and say what there is to say: errors in the words of a protocol, details,
anomalies that have to be committed first. So nothing is answered here in another way than there;
the tests hold the two side by side. `serving.http.connections` is what asks.
"""

import asyncio
import math
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import httptools
import msgspec
import numpy as np
import numpy.typing as npt
from starlette.types import Scope

from serving.access import Rights
from serving.following.detectors import Served
from serving.http.requests import SANE_ID, new_id
from serving.metrics.counts import Counts
from serving.verdicts.score import JSON, check_origin, may_repeat
from serving.verdicts.scoring import Origin, Scoring

PATH = "/anomaly"
ROAD = "fast_road"
"""Under this name the application's lifespan leaves its road for the connections, or None."""
START = b"POST /anomaly HTTP/1.1\r\n"
END = b"\r\n\r\n"
HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n%bx-request-id: %b\r\n\r\n"
KEPT_ALIVE = b"keep-alive"
LONGEST_HEAD, LONGEST_BODY = 4 * 1024, 64 * 1024
"""Bytes of what is answered here; larger requests are not those that come all day."""
KEPT_HEADS = 256
"""A client sends the same head again and again, and it is read once. Those with an id or a trace of
their own are read each time."""
SLOW = frozenset(
    {
        b"content-encoding",  # bodies that are refused
        b"origin",  # browsers, which are told apart from programs
        b"sec-fetch-site",
        b"expect",  # more than one answer
        b"proxy-connection",  # which the parser takes for Connection
        b"upgrade",
        b"transfer-encoding",  # bodies whose end has to be found
    }
)

State = dict[str, Any]
FloatArray = npt.NDArray[np.float64]


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """The body of nearly every request."""

    values: list[float]
    source: str | None = None
    timestamp: str | None = None


_decode = msgspec.json.Decoder(Row).decode
_encode = msgspec.json.Encoder().encode


class Head(NamedTuple):
    """The head of a request that may be answered here: its headers, by lower-case name, and the
    length of its body."""

    headers: dict[bytes, bytes]
    length: int


class Client(Protocol):
    """Who asked, and is told in a later turn of the event loop, once."""

    def answer(self, lines: bytes, body: bytes) -> None:
        """Answer 200 with these lines of a head and this body."""

    def hand_on(self) -> None:
        """Have the application answer."""


class Asked:
    """A row that waits for its verdict; `state` is what was found about its request, from which the
    application goes on. Nobody is told any more once `client` is None."""

    __slots__ = ("client", "origin", "served", "started", "state", "window_TF")

    def __init__(
        self, client: Client, served: Served, window_TF: FloatArray, origin: Origin, state: State
    ) -> None:
        self.client: Client | None = client
        self.served = served
        self.window_TF = window_TF
        self.origin = origin
        self.state = state
        self.started = perf_counter()


class FastRoad:
    """The road of one event loop. `body_limit` in bytes and `busy` requests at a time are those of
    the application."""

    def __init__(
        self, *, scoring: Scoring, rights: Rights, counts: Counts, body_limit: int, busy: int
    ) -> None:
        self.scoring = scoring
        self.rights = rights
        self.counts = counts
        self.longest = min(body_limit, LONGEST_BODY)
        self.busy = busy
        self._heads: dict[bytes, Head | None] = {}
        self._asked: list[Asked] = []
        self._lines: tuple[Served | None, bytes] = (None, b"")

    def head(self, head: bytes) -> Head | None:
        """What is to be known of a head, given without the empty line at its end; None where the
        application has to answer."""
        try:
            return self._heads[head]
        except KeyError:
            if len(head) > LONGEST_HEAD:  # not worth the memory either
                return None
            found = read_head(head)
            if found is not None and found.length > self.longest:
                found = None
            if len(self._heads) >= KEPT_HEADS:
                self._heads.clear()
            self._heads[head] = found
            return found

    def ask(self, client: Client, scope: Scope, head: Head, body: bytes) -> Asked | None:
        """Have a row judged in the next turn; None where the application has to answer, at once."""
        if self.counts.in_flight >= self.busy or may_repeat(body):
            return None
        try:
            row = _decode(body)
            if row.source is not None or row.timestamp is not None:
                check_origin(row.source, row.timestamp)
            served = self.scoring.held()
            contract = served.detector.contract
            if contract.window_length != 1 or len(row.values) != len(contract.sensors):
                return None
            window_TF = np.array((row.values,))
            if not math.isfinite(np.vdot(window_TF, window_TF)):
                return None
            state: State = {}
            self.rights.check(scope, head.headers, "score", state)
        except Exception:  # whatever it is, the application says it
            return None
        request_id = head.headers.get(b"x-request-id", b"")
        if SANE_ID.fullmatch(request_id) is None:
            request_id = new_id()
        origin = Origin("anomaly", request_id.decode(), row.source, row.timestamp)
        asked = Asked(client, served, window_TF, origin, state)
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._asked.append(asked)
        self.counts.in_flight += 1
        return asked

    def forget(self, asked: Asked) -> None:
        """Tell nobody: the client is gone, or the application answers it."""
        asked.client = None
        self.counts.in_flight -= 1

    def _answer_all(self) -> None:
        waiting, self._asked = [one for one in self._asked if one.client is not None], []
        windows = [(one.served, one.window_TF, one.origin) for one in waiting]
        try:
            scores = self.scoring.of_normal(windows)
        except Exception:  # everybody is answered, whatever it is
            scores = [None] * len(waiting)
        for asked, score in zip(waiting, scores, strict=True):
            client = asked.client
            if client is None:  # it ended while others were answered
                continue
            if score is None:
                client.hand_on()
                continue
            body = _encode({"score": score, "status": "normal"})
            client.answer(self._head_of_answer(asked, len(body)), body)
            asked.client = None
            self.counts.in_flight -= 1
            self.counts.answer(PATH, "POST", 200, perf_counter() - asked.started)

    def _head_of_answer(self, asked: Asked, length: int) -> bytes:
        served, lines = self._lines
        if served is not asked.served:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in asked.served.headers)
            self._lines = (asked.served, lines)
        request_id = asked.origin.request_id.encode()
        return HEAD % (length, lines, request_id)


def read_head(head: bytes) -> Head | None:
    """The head of a POST /anomaly that keeps its connection, tells the length of its body, and asks
    for nothing more; None of any other."""
    reading = _Reading()
    try:
        httptools.HttpRequestParser(reading).feed_data(head + END)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers = dict(reading.headers)
    if (
        not reading.whole
        or not head.startswith(START)
        or len(headers) < len(reading.headers)
        or headers.get(b"content-type") != JSON[0]
        or headers.get(b"connection", KEPT_ALIVE).lower() != KEPT_ALIVE
        or not SLOW.isdisjoint(headers)
    ):
        return None
    return Head(headers, int(headers.get(b"content-length", b"0")))


class _Reading:
    """What httptools calls as it reads a head."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.whole = True
