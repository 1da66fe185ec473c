"""How old a step is and when to try again, by a clock that nobody sets.

The database has times of day, each as whichever host wrote it had it, and clocks are put ahead and
back. They are believed where nothing better is known, after a restart. From then on this process
knows itself how long ago it saw what.
"""

import time
from collections.abc import Callable, Container
from threading import Lock

from serving.history.record import MICROSECONDS


class Ages:
    """Of steps in the outbox, in seconds; `clock` is the time of day, and nobody sets `ticks`."""

    def __init__(self, clock: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._clock, self._ticks = clock, ticks
        self._births: dict[int, float] = {}
        self._looked: float | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._births)

    def age(self, step: int, created: int) -> float:
        """The age of a step, which may have been there long before it is asked for."""
        return self._age(step, created, None)

    def new(self, step: int, created: int) -> None:
        """A step that was not there when this process last looked for new ones: it can be no older
        than that, whatever its time of day says."""
        self._age(step, created, self._looked)

    def looked(self, begun: float) -> None:
        """All steps that there were at `begun`, in ticks, have been seen."""
        self._looked = begun

    def keep(self, steps: Container[int]) -> None:
        """Forget all steps but these."""
        with self._lock:
            kept = {step: birth for step, birth in self._births.items() if step in steps}
            self._births = kept

    def _age(self, step: int, created: int, earliest: float | None) -> float:
        now = self._ticks()
        with self._lock:
            birth = self._births.get(step)
            if birth is None:
                birth = now - max(0.0, self._clock() - created / MICROSECONDS)
                birth = birth if earliest is None else max(birth, earliest)
                self._births[step] = birth
        return now - birth


class Pauses:
    """When a channel is tried again; by deliveries, in seconds."""

    def __init__(self, clock: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._clock, self._ticks = clock, ticks
        self._ends: dict[int, float] = {}

    def left(self, delivery: int, due: int, longest: float) -> float:
        """How long to wait yet; `due` is what the database says, and `longest` what it can be."""
        now = self._ticks()
        if delivery not in self._ends:
            said = due / MICROSECONDS - self._clock()
            self._ends[delivery] = now + min(max(0.0, said), longest)
        return self._ends[delivery] - now

    def begin(self, delivery: int, seconds: float) -> None:
        """It did not get through."""
        self._ends[delivery] = self._ticks() + seconds

    def keep(self, waiting: Container[int]) -> None:
        """Forget all deliveries but these."""
        self._ends = {one: end for one, end in self._ends.items() if one in waiting}


class Allowance:
    """So many messages within any minute."""

    def __init__(self, per_minute: int, ticks: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._ticks = ticks
        self._spent: list[float] = []

    @property
    def left(self) -> int:
        """How many may be sent now."""
        since = self._ticks() - 60
        self._spent = [moment for moment in self._spent if moment > since]
        return self.per_minute - len(self._spent)

    def spend(self, seconds_ago: float = 0.0) -> None:
        """One was sent."""
        self._spent.append(self._ticks() - seconds_ago)
