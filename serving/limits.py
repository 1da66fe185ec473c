"""How many requests each key may send a minute, over all workers of a host.

    KEY/limits-SLOTS/worker-N.lock   held by the worker that counts in slot N
    KEY/limits-SLOTS/ID              what was let through for the key ID

A key's file is mapped into the memory of every worker. Each writes its own slot alone and sums up
all of them, so nobody waits for anybody. The lock of a slot falls with its worker, however that
ends; the next one takes the slot over with what was counted in it.

The window slides. A slot has a ring of counters, one for each interval of 2 s, and a total since
ever. What the rings say of the last 60 s, and of the part of an interval before it, is summed once
an interval, for nothing leaves the window in between; from then on the totals alone tell how much
was added, and a request costs a microsecond or two. No 60 s see more than the limit, but for one
request for each worker that decides at the same moment.
"""

import logging
import math
import mmap
import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.errors import TooManyRequests
from serving.following.follower_lock import take_lock

WINDOW_SECONDS = 60
INTERVAL_SECONDS = 2
INTERVALS = WINDOW_SECONDS // INTERVAL_SECONDS + 1
"""The current one, which has only begun, and those before it."""
COUNT_BITS = 24
COUNT_MASK = (1 << COUNT_BITS) - 1
"""A counter is one word, the number of its interval and the count: written at once, and one from an
earlier round of the ring is known as such."""

ANONYMOUS = "_anonymous"
"""Counts all clients of a service without keys; no key has an id like it."""

log = logging.getLogger(__name__)


class Limits:
    """This worker's side of it. Nothing is opened before the first limit is asked about.

    Where no file can be kept, each worker counts for itself, and the log says so.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        # Twice as many slots as workers, since at a restart the old ones may still be about.
        self.slots = 2 * workers + 2
        self._folder = folder / f"limits-{self.slots}"
        self._slot: int | None = None
        self._lock: int | None = None
        self._counted: dict[str, _Counted] = {}
        self._alone = False

    def take(self, key: str, limit: int) -> None:
        """Let one more request of `key` through; raises TooManyRequests when there were `limit` in
        the last minute."""
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = self._open(key)
        # The host's clock that no correction moves; after a restart of the host it begins anew.
        wait = counted.take(limit, time.monotonic())
        if wait:
            raise TooManyRequests(f"this would be more than {limit} requests in a minute", wait)

    def close(self) -> None:
        """Free the slot, as the end of the process does."""
        self._counted.clear()
        if self._lock is not None:
            os.close(self._lock)
        self._slot = self._lock = None

    def _open(self, key: str) -> "_Counted":
        size = 8 * self.slots * (1 + INTERVALS)
        if not self._alone:
            try:
                return _Counted(self._map(key, size), self.slots, self._slot or 0)
            except OSError as error:
                self._alone = True
                log.error("rate limits hold for each worker alone: %s", error)
        return _Counted(bytearray(size), self.slots, 0)

    def _map(self, key: str, size: int) -> mmap.mmap:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._slot is None:
            self._claim()
        file = os.open(self._folder / key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _allocate(file, size)
            return mmap.mmap(file, size)
        finally:
            os.close(file)

    def _claim(self) -> None:
        for slot in range(self.slots):
            lock = take_lock(self._folder / f"worker-{slot}.lock")
            if lock is not None:
                self._slot, self._lock = slot, lock
                return
        raise OSError(f"all {self.slots} slots in {self._folder} are taken")


def _allocate(file: int, size: int) -> None:
    """Zeros on the disk, not a hole: writing into a mapped hole on a full disk would end the
    process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif os.fstat(file).st_size < size:
        os.ftruncate(file, size)


class _Counted:
    """What was let through for one key."""

    def __init__(self, memory: mmap.mmap | bytearray, slots: int, slot: int) -> None:
        words = memoryview(memory).cast("q")
        self._totals = words[:slots]
        self._ring = words[slots + slot * INTERVALS :][:INTERVALS]
        self._rings = np.frombuffer(words, np.int64)[slots:]
        self._slot = slot
        self._interval = -1
        self._left = 0
        """What the totals counted that has left the window."""
        self._full: tuple[int, float] = (0, 0.0)
        """The limit that was reached, and until when there is no room below it."""

    def take(self, limit: int, seconds: float) -> int:
        """Count one more request, unless that is beyond the limit: then whole seconds to wait."""
        full, until = self._full
        if full == limit and seconds < until:
            return math.ceil(until - seconds)
        interval = int(seconds / INTERVAL_SECONDS)
        if interval != self._interval:
            # Totals first: what others add meanwhile then counts twice rather than not at all.
            total = sum(self._totals)
            self._left = total - int(_by_age(self._rings, interval).sum())
            self._interval = interval
        if sum(self._totals) - self._left >= limit:
            until = _room(_by_age(self._rings, interval), limit, interval)
            self._full = (limit, until)
            return max(1, math.ceil(until - seconds))
        self._totals[self._slot] += 1
        place = interval % INTERVALS
        word = self._ring[place]
        fresh = word >> COUNT_BITS != interval
        self._ring[place] = (interval << COUNT_BITS | 1) if fresh else word + 1
        return 0


def _by_age(words: npt.NDArray[np.int64], interval: int) -> npt.NDArray[np.int64]:
    """How many were let through, by how many intervals ago; words of before a restart of the host
    may come from the future and do not count."""
    age = interval - (words >> COUNT_BITS)
    young = (age >= 0) & (age < INTERVALS)
    return np.bincount(age[young], words[young] & COUNT_MASK, INTERVALS).astype(np.int64)


def _room(by_age: npt.NDArray[np.int64], limit: int, interval: int) -> float:
    """When, on the clock, so much has left the window that there is room below the limit."""
    beyond = int(np.argmax(by_age.cumsum() >= limit))  # the oldest that has to leave
    return (interval + INTERVALS - beyond) * INTERVAL_SECONDS
