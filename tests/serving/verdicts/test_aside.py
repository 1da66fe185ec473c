"""Which thread does the work of a request, by the size of its body."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from serving.verdicts.aside import HANDFUL_BYTES, LARGE_BYTES, LARGE_THREADS, aside

request_id: ContextVar[str] = ContextVar("request_id", default="none")


@pytest.mark.parametrize(
    ("size", "on_the_loop"),
    [(0, True), (HANDFUL_BYTES, True), (HANDFUL_BYTES + 1, False), (LARGE_BYTES + 1, False)],
)
def test_only_a_handful_is_worked_off_on_the_event_loop(size: int, on_the_loop: bool) -> None:
    async def ask() -> tuple[int, str]:
        request_id.set("of-this-request")
        return await aside(size, lambda: (threading.get_ident(), request_id.get()))

    thread, told = asyncio.run(ask())
    assert (thread == threading.get_ident()) == on_the_loop
    assert told == "of-this-request"


@pytest.mark.parametrize("size", [0, HANDFUL_BYTES + 1, LARGE_BYTES + 1])
def test_what_the_work_raises_is_raised(size: int) -> None:
    def fail() -> None:
        raise LookupError("of this request")

    async def ask() -> None:
        await aside(size, fail)

    with pytest.raises(LookupError, match="of this request"):
        asyncio.run(ask())


def test_large_bodies_share_a_few_threads_and_keep_no_small_one_waiting() -> None:
    at_work: list[int] = []
    most, hold = 0, threading.Event()

    def long() -> None:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        hold.wait(60)
        at_work.pop()

    async def ask() -> None:
        large = [asyncio.ensure_future(aside(LARGE_BYTES + 1, long)) for _ in range(6)]
        while len(at_work) < LARGE_THREADS:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(aside(HANDFUL_BYTES + 1, lambda: None), 30)
        hold.set()
        await asyncio.gather(*large)

    asyncio.run(ask())
    assert most == LARGE_THREADS
