"""Connections: a row that is in order takes the fast road, and what says nothing is closed.

Uvicorn closes a connection that is idle after an answer. One that sends no request at all, or the
head of one byte by byte, or takes nothing of its answer, it keeps for ever, and with enough of them
no other gets in. Each connection is looked at now and then: requests pay nothing for it.
"""

import asyncio
from functools import cache
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from serving.errors import Failure, problem_document
from serving.http.requests import new_id
from serving.metrics.counts import OTHER, Counts
from serving.settings import read_settings
from serving.verdicts.fast_road import END, ROAD, START, Asked, FastRoad, State

COUNTS = "counts"
"""Under this name the application's lifespan leaves its counts for the connections."""
NO_REQUEST = "MalformedRequest"
"""What the metrics call it."""
NO_REQUEST_DETAIL = "this is no HTTP/1.1 request: its request line, a header or its body's length"
STALLED_LOOKS = 3
"""So often in a row an answer may be found as it was at the look before."""
APART_SECONDS = 0.1
"""Clients that send the head and the body of a request apart do so at once. Whoever takes longer
waits in the application, which has limits for that."""


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol with the fast road before it, and with an end to its patience:
    KIZASHI_BODY_TIMEOUT_SECONDS.

    What the road does not take, Uvicorn's parser is fed with as if it had just come.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        road: FastRoad | None = self.app_state.get(ROAD)
        self._road = None if self.root_path else road
        self._counts: Counts | None = self.app_state.get(COUNTS)
        self._scope: Scope = {}
        self._between = True
        """Whether Uvicorn's parser has read all of one request and nothing of the next."""
        self._held = b""
        """What came of a request that may take the fast road, as it came."""
        self._asked: Asked | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._silent: tuple[RequestResponseCycle | None] | None = None
        self._buffered = 0
        self._stalled = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._scope = {"type": "http", "method": "POST", "server": self.server}
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_back()
        if self._next_look is not None:  # it would keep all of this in memory until then
            self._next_look.cancel()
            self._next_look = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self.hand_on()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._asked is not None:  # one request after the other
            self.hand_on()
        if self._held or (data.startswith(START) and self._may_take_the_road()):
            self._held += data
            self._unset_keepalive_if_required()
            if not self._on_the_road():
                self.hand_on()
        else:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as everything else, with a problem document, and count it."""
        if self._counts is not None:
            self._counts.reject(OTHER, NO_REQUEST)
            self._counts.answer(OTHER, OTHER, 400, 0.0)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            request_id = new_id()
            failed = Failure(400, f"{NO_REQUEST_DETAIL} cannot be read", request_id.decode())
            answer = problem_document(failed)
            headers = [
                *self.server_state.default_headers,
                *answer.raw_headers,
                (b"x-request-id", request_id),
                (b"connection", b"close"),
            ]
            lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            self.transport.write(STATUS_LINE[400] + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()

    def _may_take_the_road(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return (
            self._road is not None
            and self._between
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
        )

    def _on_the_road(self) -> bool:
        """Whether what is held is a request for the road, or may become one."""
        assert self._road is not None
        lines, found, body = self._held.partition(END)
        head = self._road.head(lines) if found else None
        if head is None or len(body) > head.length:
            return False
        if len(body) < head.length:
            if self._rest is None:
                self._rest = self.loop.call_later(APART_SECONDS, self.hand_on)
            return True
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._asked = self._road.ask(self, self._scope, head, body)
        return self._asked is not None

    def answer(self, lines: bytes, body: bytes) -> None:
        """The fast road's answer: 200 with these lines of a head."""
        self._asked, self._held = None, b""
        self._silent = None  # it asked, although Uvicorn knows of no request
        always = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(b"".join((STATUS_LINE[200], *always, lines, body)))
        self.on_response_complete()

    def hand_on(self) -> None:
        """Have Uvicorn and the application answer what is held, if anything is."""
        held, state = self._take_back()
        if held:
            super().data_received(held)
            if state:
                self.cycle.scope["state"].update(state)

    def _take_back(self) -> tuple[bytes, State]:
        """What came for the road, and what it found; from now on nobody is told there."""
        held, self._held = self._held, b""
        asked, self._asked = self._asked, None
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if asked is None or self._road is None:
            return held, {}
        self._road.forget(asked)
        return held, asked.state

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._between = True
        super().on_message_complete()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        before, self._silent = self._silent, self._awaits_head()
        if self._silent is not None and before is not None and before[0] is self._silent[0]:
            self.transport.close()
        elif self._takes_nothing():
            self.transport.abort()
        else:
            self._next_look = self.loop.call_later(_seconds(), self._look)

    def _awaits_head(self) -> tuple[RequestResponseCycle | None] | None:
        """The request before the one whose head is not whole yet; None while none is awaited."""
        cycle: RequestResponseCycle | None = self.cycle
        answered = (cycle is None or cycle.response_complete) and not self._held
        return (cycle,) if answered and self.timeout_keep_alive_task is None else None

    def _takes_nothing(self) -> bool:
        before, self._buffered = self._buffered, self.transport.get_write_buffer_size()
        self._stalled = self._stalled + 1 if self._buffered and self._buffered == before else 0
        return self._stalled >= STALLED_LOOKS


@cache
def _seconds() -> float:
    return read_settings().body_timeout_seconds
