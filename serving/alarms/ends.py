"""When what hides an alarm for a time is over, although clocks are put ahead and back."""

import time
from collections.abc import Callable, Iterable

from serving.history.record import MICROSECONDS


class Ends:
    """Nothing hides an alarm for longer than was asked: it is over at its time of day, or when as
    long has passed as was left when this process first saw it, whichever comes first. A clock that
    is put ahead shows alarms early; one that is put back keeps none hidden."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._ends: dict[tuple[int, int], float] = {}

    def over(self, waiting: Iterable[tuple[int, int]], now: int) -> set[int]:
        """Which alarms are due, of all that have a time when they will be, as (alarm, time)."""
        ticks = self._ticks()
        self._ends = {
            (alarm, due): self._ends.get((alarm, due), ticks + (due - now) / MICROSECONDS)
            for alarm, due in waiting
        }
        return {alarm for (alarm, due), end in self._ends.items() if due <= now or end <= ticks}
