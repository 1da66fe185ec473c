import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import pytest
from starlette.types import Message

from serving.errors import TooSlow
from serving.http import patience
from serving.http.patience import LEAST_RATE, Patience

Returned = TypeVar("Returned")


class Clock(selectors.DefaultSelector):
    """Goes on to the moment that is waited for, at once: no stall of this machine counts."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop that goes by such a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "monotonic", lambda: asyncio.get_running_loop().time())


def run(asked: Coroutine[None, None, Returned]) -> Returned:
    """Run to the end, by that clock alone."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(asked)


def piece(size: int, more: bool = True) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


class Client:
    """Sends each message after so many seconds; then it hangs up after `last` seconds."""

    def __init__(self, *messages: tuple[float, Message], last: float = 0.0) -> None:
        self.messages = list(messages)
        self.last = last

    async def __call__(self) -> Message:
        if not self.messages:
            await asyncio.sleep(self.last)
            return {"type": "http.disconnect"}
        seconds, message = self.messages.pop(0)
        if seconds:
            await asyncio.sleep(seconds)
        return message


async def body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    found, more = b"", True
    while more:
        message = await receive()
        found += message["body"]
        more = message["more_body"]
    return found


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_what_comes_in_time_passes_unchanged(seconds: float) -> None:
    client = Client((seconds, piece(3)), (seconds, piece(0)), (0.0, piece(2, False)))
    assert run(body(Patience(client, 5))) == b"xxxxx"


def test_a_body_that_does_not_come_ends_in_a_clear_error() -> None:
    client = Client((0.0, piece(3)), (60.0, piece(1, False)))
    expected = "the body did not come within 0.05 seconds and .*; 3 bytes came"
    with pytest.raises(TooSlow, match=expected):
        run(body(Patience(client, 0.05)))


def test_a_trickle_is_not_saved_by_its_drops() -> None:
    client = Client(*((0.03, piece(1)) for _ in range(100)))
    with pytest.raises(TooSlow):
        run(body(Patience(client, 0.2)))


def test_a_large_body_over_a_slow_line_arrives() -> None:
    client = Client(*((0.06, piece(LEAST_RATE)) for _ in range(5)), (0.06, piece(1, False)))
    assert len(run(body(Patience(client, 0.1)))) == 5 * LEAST_RATE + 1


def test_what_is_done_between_two_pieces_does_not_count() -> None:
    async def slow_reader() -> bytes:
        receive = Patience(Client(*((0.01, piece(1)) for _ in range(5)), (0, piece(0, False))), 0.2)
        found, more = b"", True
        while more:
            message = await receive()
            found += message["body"]
            more = message["more_body"]
            await asyncio.sleep(0.1)
        return found

    assert run(slow_reader()) == b"xxxxx"


def test_after_the_body_the_client_may_take_its_time() -> None:
    async def wait() -> Message:
        receive = Patience(Client((0.0, piece(1, False)), last=0.15), 0.05)
        await receive()
        return await receive()

    assert run(wait()) == {"type": "http.disconnect"}


def test_a_client_that_hangs_up_meanwhile_is_told_of() -> None:
    assert run(_first(Patience(Client(last=0.01), 5))) == {"type": "http.disconnect"}


def test_a_request_that_is_called_off_stops_waiting() -> None:
    async def call_off() -> None:
        waiting = asyncio.create_task(_first(Patience(Client(last=60), 60)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        run(call_off())


def test_an_error_of_the_server_goes_through() -> None:
    async def broken() -> Message:
        await asyncio.sleep(0)
        raise OSError("the transport is gone")

    with pytest.raises(OSError, match="the transport is gone"):
        run(_first(Patience(broken, 5)))


async def _first(receive: Callable[[], Awaitable[Message]]) -> Message:
    return await receive()
