"""What /metrics says of notifications.

The process that sends counts, looks into the database, and leaves a file for the workers of its
host; they read it when they are asked. So no request waits for a database, nor counts twice what
several workers could count.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from serving.metrics.families import NOTIFICATIONS_SENDING

FILE = "attendant.figures"
STALE_SECONDS = 15.0
"""The process that leaves a file does so every three seconds, as long as it lives."""

Values = list[tuple[tuple[str, ...], float]]


class Figures(msgspec.Struct):
    """By the names of the families; `ticks` is when, by the clock that nobody sets, which all
    processes of a host share."""

    ticks: float
    counters: dict[str, Values]
    gauges: dict[str, Values]


def leave(folder: Path, counters: dict[str, Values], gauges: dict[str, Values]) -> None:
    """Leave these for the workers of this host; raises OSError where that cannot be done."""
    new = folder / f"{FILE}.new"
    new.write_bytes(msgspec.msgpack.encode(Figures(time.monotonic(), counters, gauges)))
    new.replace(folder / FILE)


def found(folder: Path, ticks: Callable[[], float] = time.monotonic) -> Figures:
    """What was left there; where that is old, or nothing was, no process sends from this host."""
    with suppress(OSError, msgspec.DecodeError):
        left = msgspec.msgpack.decode((folder / FILE).read_bytes(), type=Figures)
        # One from before the host was started again is of a later time than now.
        if 0 <= ticks() - left.ticks < STALE_SECONDS:
            return left
    return Figures(ticks(), {}, {NOTIFICATIONS_SENDING.name: [((), 0.0)]})
