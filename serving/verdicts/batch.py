"""POST /anomaly/batch: many rows in, their scores and statuses out, in the order sent.

For a windowed model the rows are consecutive, and each is judged with those before it: the first
T - 1 rows have no verdict, and get null.

A body is read, scored and written block by block, so that a long one needs no more memory than a
short one. The answer waits in a spool until the last row has been read: a bad row in the middle is
still answered with a status of its own, and a client may send everything before it reads anything.

The work is done in a few threads for all batches together. A thread has a batch only while there is
something to do, and not for long: slow clients hold none, and long batches take turns.
"""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from serving.errors import WrongMediaType
from serving.formats import EXTRA, FORMATS, Format
from serving.formats.rows import BLOCK_BYTES
from serving.history.record import UNKEPT
from serving.http.accept import accepted
from serving.http.requests import header, media_type, read_blocks
from serving.verdicts.judging import Judging
from serving.verdicts.score import kept
from serving.verdicts.scoring import Origin, Scoring

THREADS = 2
"""One reads while another waits for the network's own threads; more only wait for each other."""
TURN_SECONDS = 0.05


class BatchEndpoint:
    """The ASGI endpoint. A body may have `limit` bytes, or `stream_limit` in a format that can be
    read in pieces."""

    def __init__(self, scoring: Scoring, limit: int, stream_limit: int) -> None:
        self._scoring = scoring
        self._limit, self._stream_limit = limit, stream_limit
        self._threads = ThreadPoolExecutor(THREADS, "batch")

    @property
    def waiting(self) -> int:
        """How many batches wait for a thread."""
        return self._threads._work_queue.qsize()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent, charset = sent_format(scope)
        wanted = accepted(header(scope["headers"], b"accept"))
        served = self._scoring.held()
        kind = "batch" if kept(scope["query_string"]) else UNKEPT
        origin = Origin(kind, scope["state"]["request_id"])
        limit = self._stream_limit if sent.streams else self._limit
        job = Judging(self._scoring, served, origin, self._stream_limit)
        try:
            opening = job.open(sent, charset, wanted)
            async for block, last in read_blocks(scope, receive, limit, BLOCK_BYTES):
                steps = chain(opening, job.feed(block), job.finish() if last else ())
                await self._work_off(steps, receive if last else None)
                opening = iter(())
            await self._answer(job, (*served.headers, *content(wanted, job.size)), send)
        finally:  # giving the disk back takes a moment when there was much on it
            await asyncio.to_thread(job.close)

    async def _work_off(self, steps: Iterator[None], receive: Receive | None) -> None:
        """Do the steps in a thread, a turn at a time; once the body has been received, give up
        when the client does."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[Message] | None = None
        try:
            while not await loop.run_in_executor(self._threads, _take_a_turn, steps):
                if gone is None and receive is not None:
                    gone = asyncio.ensure_future(receive())
                if gone is not None and gone.done():
                    raise ClientDisconnect
        finally:
            if gone is not None:
                gone.cancel()

    async def _answer(
        self, job: Judging, headers: tuple[tuple[bytes, bytes], ...], send: Send
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces = job.answer()
        while piece := await asyncio.to_thread(next, pieces, b""):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


def _take_a_turn(steps: Iterator[None]) -> bool:
    """Whether all is done."""
    end = time.monotonic() + TURN_SECONDS
    return all(time.monotonic() < end for _ in steps)


def sent_format(scope: Scope) -> tuple[Format, str]:
    """The format and charset of the body; raises WrongMediaType for one that is not read here."""
    kind, charset = media_type(scope["headers"], tuple(FORMATS))
    if not FORMATS[kind].installed:
        raise WrongMediaType(
            f"Content-Type is {kind.decode()!r}; to read it, the service needs {EXTRA}"
        )
    return FORMATS[kind], charset


def content(written: Format, size: int) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that describe the answer."""
    kind = written.media_type
    charset = b"; charset=utf-8" if kind.startswith(b"text/") else b""
    return (b"content-type", kind + charset), (b"content-length", b"%d" % size)
