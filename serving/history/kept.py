"""No answer leaves before the anomalies in it are committed."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kizashi.errors import KizashiError
from serving.errors import NotRecorded
from serving.history.observer import pending

LONGEST_SECONDS = 5.0
"""An operator's client gives up at about twice that; a commit takes milliseconds."""
UNRECORDED = "the verdict was reached and could not be recorded"


class Kept:
    """ASGI layer that holds answers back until what they tell is in the history.

    It stands inside `Problems`, which answers NotRecorded, and outside all that answers. An answer
    in pieces waits before each; where one that has begun cannot be kept, its connection ends.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        promises: list[Future[None]] = []
        token = pending.set(promises)

        def send_kept(message: Message) -> Awaitable[None]:
            return _send_when_kept(promises, send, message) if promises else send(message)

        try:
            await self.app(scope, receive, send_kept)
        finally:
            pending.reset(token)


async def _send_when_kept(promises: list[Future[None]], send: Send, message: Message) -> None:
    await _all_kept(promises)
    await send(message)


async def _all_kept(promises: list[Future[None]]) -> None:
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            while promises:
                await asyncio.wrap_future(promises[-1])
                promises.pop()
    except TimeoutError as error:
        raise NotRecorded(f"{UNRECORDED} within {LONGEST_SECONDS:g} seconds") from error
    except KizashiError as error:
        raise NotRecorded(f"{UNRECORDED}: {error}") from error
