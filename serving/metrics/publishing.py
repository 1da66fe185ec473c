"""A worker's side of the shared counts: it writes its own down, and reads those of all."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.metrics.counts import Counts, Snapshot
from serving.metrics.exposition import text
from serving.metrics.families import VERDICTS
from serving.metrics.shared import Shared

TICK_SECONDS = 0.25
FLUSH_TICKS = 2
IDLE_TICKS = 20
"""A worker that answers nothing writes less often: only its gauges change."""

log = logging.getLogger(__name__)


class Publisher:
    """What GET /metrics says; with a `folder`, of every worker that leaves its counts there.

    `host` gives what is the same for all workers of this host, and so must not be summed. Files are
    read and written in a thread of its own: a slow disk holds up no request, and large batches, in
    the threads of others, do not hold up the counts.
    """

    def __init__(
        self, counts: Counts, folder: Path | None, host: Callable[[], Snapshot] | None = None
    ) -> None:
        self.counts = counts
        self.shared = None if folder is None else Shared(folder)
        self.host = host
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._unwritable: str | None = None

    async def attend(self) -> None:
        """Write the counts down again and again, until cancelled; then once more."""
        loop = asyncio.get_running_loop()
        ticks, written = 0, -1
        await loop.run_in_executor(self._thread, self._start)
        try:
            while True:
                asked = loop.time() + TICK_SECONDS
                await asyncio.sleep(TICK_SECONDS)
                self.counts.lagged(max(0.0, loop.time() - asked))
                ticks += 1
                changed = self.counts.answered != written and ticks >= FLUSH_TICKS
                if self.shared is not None and (changed or ticks >= IDLE_TICKS):
                    ticks, written = 0, self.counts.answered
                    await loop.run_in_executor(self._thread, self._flush)
        finally:
            await loop.run_in_executor(self._thread, self._end)

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their media type, as `Accept` prefers."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._exposition, accept)

    def _exposition(self, accept: str) -> tuple[bytes, str]:
        living, ended = self._all()
        if self.host is not None:
            ended = _with(ended, self.host())
        return text(living, ended, accept)

    def _all(self) -> tuple[list[Snapshot], Snapshot]:
        if self.shared is not None and self._flush():
            try:
                return self.shared.read()
            except OSError as error:
                self._complain(error)
        return [self.counts.snapshot()], Snapshot({}, {}, {})

    def _start(self) -> None:
        """Be seen by the others from the start, and go on with the sources that they know."""
        if self.shared is not None and self._flush():
            living, ended = self._all()
            told = (one.counters.get(VERDICTS.name, []) for one in (*living, ended))
            self.counts.know(labels[0] for values in told for labels, _ in values if labels[0])

    def _end(self) -> None:
        self._flush()
        if self.shared is not None:
            self.shared.leave()

    def _flush(self) -> bool:
        if self.shared is None:
            return False
        try:
            self.shared.write(self.counts.snapshot())
        except OSError as error:  # a full disk must not end a worker
            self._complain(error)
            return False
        self._unwritable = None
        return True

    def _complain(self, error: OSError) -> None:
        if self._unwritable != error.strerror:
            log.error("the counts for /metrics cannot be shared: %s", error)
        self._unwritable = error.strerror


def _with(ended: Snapshot, host: Snapshot) -> Snapshot:
    """Both in one: what was counted before, and what this host says of now."""
    counters = {
        name: ended.counters.get(name, []) + host.counters.get(name, [])
        for name in ended.counters | host.counters
    }
    return Snapshot(counters, ended.histograms, host.gauges)
