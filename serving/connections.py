"""Connections that say nothing are closed.

Uvicorn closes a connection that is idle after an answer. One that sends no request at all, or the
head of one byte by byte, or takes nothing of its answer, it keeps for ever, and with enough of them
no other gets in. Each connection is looked at now and then: requests pay nothing for it.
"""

import asyncio
from functools import cache

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.settings import read_settings

STALLED_LOOKS = 3
"""So often in a row an answer may be found as it was at the look before."""


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol, with an end to its patience: KIZASHI_BODY_TIMEOUT_SECONDS."""

    _silent: tuple[RequestResponseCycle | None] | None = None
    _buffered = 0
    _stalled = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        before, self._silent = self._silent, self._awaits_head()
        if self._silent is not None and before is not None and before[0] is self._silent[0]:
            self.transport.close()
        elif self._takes_nothing():
            self.transport.abort()
        else:
            self.loop.call_later(_seconds(), self._look)

    def _awaits_head(self) -> tuple[RequestResponseCycle | None] | None:
        """The request before the one whose head is not whole yet; None while none is awaited."""
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is None or cycle.response_complete
        return (cycle,) if answered and self.timeout_keep_alive_task is None else None

    def _takes_nothing(self) -> bool:
        before, self._buffered = self._buffered, self.transport.get_write_buffer_size()
        self._stalled = self._stalled + 1 if self._buffered and self._buffered == before else 0
        return self._stalled >= STALLED_LOOKS


@cache
def _seconds() -> float:
    return read_settings().body_timeout_seconds
