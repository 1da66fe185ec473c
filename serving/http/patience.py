"""How long a client may keep its request waiting for a body that comes byte by byte, or not at all.

A body may keep the service waiting for some seconds in all, and for one more for each LEAST_RATE
bytes that came: a large batch over a slow line arrives, a trickle does not. Only time spent waiting
counts, not what is done with the body in between.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from time import monotonic
from typing import Any

from starlette.types import Message, Receive

from serving.errors import TooSlow

LEAST_RATE = 8 * 1024
"""Bytes a second."""


class Patience:
    """`receive`, for one request, raising TooSlow when the client takes too long.

    A body that came with its head, as almost all do, is there when it is asked for: then there is
    nothing to wait for, and no clock is set, which would cost 5 µs.
    """

    __slots__ = ("_left", "_receive", "_received", "_seconds", "_whole")

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._seconds = self._left = seconds
        self._received = 0
        self._whole = False

    def __call__(self) -> Awaitable[Message]:
        # After the body comes only the news that the client hung up, whenever that is.
        return self._receive() if self._whole else self

    def __await__(self) -> Generator[Any, Any, Message]:
        waiting = self._receive().__await__()
        try:
            first = next(waiting)
        except StopIteration as arrived:
            message: Message = arrived.value
        else:
            message = yield from self._within(Rest(waiting, first)).__await__()
        if message.get("more_body", False):
            size = len(message.get("body", b""))
            self._received += size
            self._left += size / LEAST_RATE
        else:
            self._whole = True
        return message

    async def _within(self, rest: "Rest") -> Message:
        started = monotonic()
        try:
            async with asyncio.timeout(max(0.0, self._left)):
                return await rest
        except TimeoutError as error:
            raise TooSlow(
                f"the body did not come within {self._seconds:g} seconds and a second for each "
                f"{LEAST_RATE} bytes; {self._received} bytes came"
            ) from error
        finally:
            self._left -= monotonic() - started


class Rest:
    """What is left of an awaitable that has begun to wait for `first`."""

    __slots__ = ("_first", "_waiting")

    def __init__(self, waiting: Generator[Any, Any, Message], first: Any) -> None:
        self._waiting = waiting
        self._first = first

    def __await__(self) -> Generator[Any, Any, Message]:
        step: Callable[[Any], Any]
        waited = self._first
        value: Any
        while True:
            try:
                step, value = self._waiting.send, (yield waited)
            except BaseException as error:
                step, value = self._waiting.throw, error
            try:
                waited = step(value)
            except StopIteration as done:
                arrived: Message = done.value
                return arrived
