"""The one writer of this worker: a thread that commits what waits, in groups.

A commit waits for the disk, whatever it holds; so what arrives during one goes into the next,
together. Normal rows wait for half a second at most, so that they are written many at a time.
"""

import asyncio
import atexit
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from serving.errors import HistoryUnavailable
from serving.history.record import Batch, Record, Row

if TYPE_CHECKING:
    from serving.history.store import Store

LAG_SECONDS = 0.5
APART_SECONDS = 0.05
COMPANY = 20
"""A commit costs as much as writing a hundred rows. So where rows keep coming, an anomaly waits
until the last commit is APART_SECONDS ago, for those that come meanwhile to share one; with fewer
than COMPANY records beside it, it is committed at once."""
MOST_WAITING = 50_000
"""Rows; about 30 MB. Beyond it normal rows are counted and let go."""
MOST_WAITING_BATCH_ROWS = 200_000
ROOM_SECONDS = 2.0
"""Rows of batches come faster than they are written: the thread that judges a batch waits for room,
so long at a time, while the writer gets on."""
GROUP = 2000
ENOUGH = 1000
"""Normal rows for which the writer does not wait any longer: by then they share a commit's cost
well enough, and more of them would only take memory."""
RETRY_SECONDS = 1.0
ROW_BELIEVED_SECONDS = 60.0
"""A full disk takes a transaction that writes nothing: that one works is no news for so long after
a row did not get through."""
CLOSE_SECONDS = 8.0

log = logging.getLogger(__name__)


class Writer:
    """A bounded queue and its thread, which starts with the first record.

    `open_store` gives the store that the thread writes to. It may take its time: who puts a record
    does not wait for it.

    `written`, `dropped` and `failures` count rows written, normal rows that there was no room for,
    and groups that could not be committed; `depth` is how many records wait.
    """

    def __init__(self, open_store: "Callable[[], Store]") -> None:
        self.open_store = open_store
        self.written = 0
        self.dropped = 0
        self.failures = 0
        self.problem: str | None = None
        """Why nothing can be committed, as far as is known; None once something could."""
        self.lag = 0.0
        """How old the oldest row of the last group was when it was committed, in seconds."""
        self._queue: deque[Record] = deque()
        self._batch_rows = 0
        self._failed_at = -math.inf
        self._wake = threading.Event()
        self._closed = False
        self._writing = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)

    @property
    def depth(self) -> int:
        """How many records wait."""
        return len(self._queue)

    def put(self, record: Record, *, soon: bool = False) -> None:
        """Leave a normal record; it is dropped, and counted, when the queue is full."""
        if len(self._queue) >= MOST_WAITING or (
            isinstance(record, Batch) and not self._room(record)
        ):
            self.dropped += len(record.score_N) if isinstance(record, Batch) else 1
            return
        self._queue.append(record)
        if soon or (len(self._queue) >= ENOUGH and self.problem is None):
            self._wake.set()
        if self._thread is None:
            self.start()

    def put_anomaly(self, record: Record) -> None:
        """Leave what must be kept; its promise is broken at once where there is no room."""
        assert record.kept is not None
        if len(self._queue) >= 2 * MOST_WAITING or self._closed:
            record.kept.set_exception(HistoryUnavailable(self.problem or "too much waits"))
            return
        if isinstance(record, Batch):
            self._room(record)
        self._queue.append(record)
        self._wake.set()
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Start the thread; once."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="history", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def cannot_write(self, error: HistoryUnavailable) -> None:
        """Remember that the database takes nothing, also when no record has come to find out."""
        if self.problem is None:
            log.error("history: %s", error)
        self.problem = str(error)

    def can_write(self) -> None:
        """Forget it again; where records wait, they find out themselves."""
        doubtful = time.monotonic() < self._failed_at + ROW_BELIEVED_SECONDS
        if self.problem is not None and not (self._queue or doubtful):
            log.info("history: can be written again")
            self.problem = None

    def wait_until_written(self, seconds: float = 60.0) -> bool:
        """Wait for all that waits now to be committed; False when it is not by then."""
        until = time.monotonic() + seconds
        self._wake.set()
        while self._queue or self._writing:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def close(self) -> None:
        """Write what waits, then end; what cannot be written by then is counted as dropped."""
        self._closed = True
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)
        atexit.unregister(self.close)
        if self._queue:
            log.error("history: %d records could not be written before the end", len(self._queue))

    def _room(self, batch: Batch) -> bool:
        """Take room for a batch, which a thread of its own waits for; an event loop must not wait.
        What has anomalies is taken in any case."""
        with self._freed:
            if not (self._has_room_or_stands_still() or _on_event_loop()):
                self._wake.set()
                self._freed.wait_for(self._has_room_or_stands_still, ROOM_SECONDS)
            if batch.kept is None and self._batch_rows > MOST_WAITING_BATCH_ROWS:
                return False
            self._batch_rows += len(batch.score_N)
            return True

    def _has_room_or_stands_still(self) -> bool:
        stands = self.problem is not None or self._closed or self._thread is None
        return stands or self._batch_rows <= MOST_WAITING_BATCH_ROWS

    def _run(self) -> None:
        last = -math.inf
        while not (self._closed and not self._queue):
            self._wake.wait(LAG_SECONDS)
            left_seconds = last + APART_SECONDS - time.monotonic()
            if left_seconds > 0 and len(self._queue) >= COMPANY:
                time.sleep(left_seconds)
            last = time.monotonic()
            self._wake.clear()
            # What comes meanwhile is left for the next time, or a steady stream would be written
            # row by row; an anomaly among it has set `_wake` again.
            left = len(self._queue)
            while left:
                self._writing = True
                group = [self._queue.popleft() for _ in range(min(GROUP, left))]
                left -= len(group)
                done = self._write(group) or self._try_again(group)
                self._writing = False
                if not done:
                    break

    def _try_again(self, group: list[Record]) -> bool:
        """After a failure: normal rows go back to where they stood; whether to go on at once."""
        normal = [record for record in group if record.kept is None]
        room = max(0, MOST_WAITING - len(self._queue))
        self._drop(normal[room:])
        self._queue.extendleft(reversed(normal[:room]))
        if self._closed:
            self._drop([*self._queue])  # at once, as others may still put
            self._queue.clear()
            return False
        # Anomalies that come meanwhile are tried at once: each asks whether it works again.
        self._wake.wait(RETRY_SECONDS)
        return False

    def _write(self, group: list[Record]) -> bool:
        try:
            self.open_store().write(group)
        except HistoryUnavailable as error:
            if _of_a_row(error.__cause__):
                return self._one_by_one(group)
            self._failed(group, error)
            return False
        except Exception:  # the writer must outlive what it cannot foresee
            log.exception("history: what cannot be written")
            if len(group) > 1:
                return self._one_by_one(group)
            self._settle(group, HistoryUnavailable("the log has the reason"))
            self._drop(group)
            return True
        if self.problem is not None:
            log.info("history: written again")
        self.problem = None
        self.lag = time.time() - group[0].arrived
        self.written += _rows(group)
        self._settle(group, None)
        return True

    def _one_by_one(self, group: list[Record]) -> bool:
        """One record that no database takes must not keep the others out."""
        if len(group) == 1:
            log.error("history: a record that cannot be written: %s", group[0].origin)
            self._drop(group)
            self._settle(group, HistoryUnavailable("the database does not take it"))
            return True
        half = len(group) // 2
        for part in (group[:half], group[half:]):
            if not self._write(part):
                self._try_again(part)
        return True

    def _failed(self, group: list[Record], error: HistoryUnavailable) -> None:
        self.failures += 1
        self._failed_at = time.monotonic()
        self.cannot_write(error)
        self._settle(group, error)

    def _settle(self, group: list[Record], error: HistoryUnavailable | None) -> None:
        for record in group:
            if error is None or record.kept is not None:
                self._free(record)
            if record.kept is None or record.kept.done():
                continue
            if not record.kept.set_running_or_notify_cancel():
                continue
            if error is None:
                record.kept.set_result(None)
            else:
                record.kept.set_exception(error)

    def _drop(self, records: Iterable[Record]) -> None:
        """Let go of them; who waits for one that must be kept is told elsewhere."""
        for record in records:
            if record.kept is None:
                self._free(record)
            self.dropped += _rows([record])

    def _free(self, record: Record) -> None:
        if isinstance(record, Batch):
            with self._freed:
                self._batch_rows -= len(record.score_N)
                self._freed.notify_all()


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _rows(records: Iterable[Record]) -> int:
    return sum(1 if isinstance(record, Row) else len(record.score_N) for record in records)


def _of_a_row(error: BaseException | None) -> bool:
    """Whether it is the data that the database refuses, rather than to work at all: SQLAlchemy's
    errors of these names."""
    return type(error).__name__ in ("DataError", "IntegrityError", "StatementError")
