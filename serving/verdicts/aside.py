"""Where the work of one whole request is done: nothing of it may hold up the event loop, on which
every other request of the worker waits.

A handful of values is judged on the loop: a thread costs more than their verdict. What is more goes
to a thread, and a large body to one of two that large bodies share: threads take turns with the
loop, and it waits for each that is at work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

HANDFUL_BYTES = 1024
"""Some tens of rows at most; with all that can be told of each, a few milliseconds."""
LARGE_BYTES = 64 * 1024
LARGE_THREADS = 2
SWITCH_SECONDS = 0.001
"""A thread that computes lets others in after so long. The loop lets go of the interpreter several
times in one request, and Python's own 5 ms, for each thread at work, add up to what a probe or a
single row can feel."""

Done = TypeVar("Done")
_large = ThreadPoolExecutor(LARGE_THREADS, "large")


async def aside(size: int, work: Callable[[], Done]) -> Done:
    """What `work` returns or raises, where its body of `size` bytes holds up nobody."""
    if size <= HANDFUL_BYTES:
        return work()
    if size <= LARGE_BYTES:
        return await asyncio.to_thread(work)
    context = copy_context()  # the thread works for this request: for its id, and what it keeps
    return await asyncio.get_running_loop().run_in_executor(_large, context.run, work)
