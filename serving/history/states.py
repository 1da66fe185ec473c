"""What is known of a source: its row in the database, which each group of its rows moves on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert

from serving.alarms.rules import WarmUp
from serving.history.block import Block
from serving.history.clock import late
from serving.history.many import find_rows, replace_rows
from serving.history.quality import Quality
from serving.history.record import MICROSECONDS, TOLERANCE, BoolArray
from serving.history.tables import STUCK, sources

INTERVAL_WEIGHT = 0.1


@dataclass(slots=True, kw_only=True)
class State:
    """A source's row; see `serving.history.tables`."""

    id: int
    name: str
    first_time: int
    newest: int
    arrived: int
    on_time: int
    warm_until: int = 0
    rows: int = 0
    interval: float = 0.0
    score: float | None = None
    anomaly: int | None = None
    severity: float | None = None
    model_id: int | None = None
    quality: bytes | None = None

    def late(self, block: Block) -> BoolArray:
        """Which of the rows that have come are late, shape (N,)."""
        return late(self.newest, self.on_time, block.time_N, block.arrived_N)

    def warm_up(self, rule: WarmUp, first: int) -> None:
        """A row has come at `first`: after a pause the machine warms up."""
        warm_until = first + round(rule.seconds * MICROSECONDS)
        if not self.rows or first - self.arrived >= rule.after_pause * MICROSECONDS:
            self.warm_until = warm_until
        elif first < self.arrived - TOLERANCE:  # this machine's clock was put back
            self.warm_until = min(self.warm_until, warm_until)
            self.arrived = first

    def stuck(self, block: Block, on_time_N: BoolArray, rows: int) -> BoolArray:
        """Which values are a stuck sensor's, shape (N, F); their rows are marked so."""
        if not on_time_N.any():
            return np.zeros(block.values_NF.shape, dtype=np.bool_)
        quality = Quality.read(self.quality, block.values_NF.shape[1])
        found_NF = quality.stuck(block.values_NF[on_time_N], rows)
        self.quality = quality.write()
        stuck_NF = np.zeros(block.values_NF.shape, dtype=np.bool_)
        if found_NF.any():
            stuck_NF[on_time_N] = found_NF
            block.flags_N[stuck_NF.any(axis=1)] |= STUCK
        return stuck_NF

    def advance(self, block: Block, model_id: int, on_time_N: BoolArray) -> None:
        """What the source's row says after this block; late rows only count."""
        last = int(block.arrived_N[-1])
        gap = (last - self.arrived) / MICROSECONDS / len(block.score_N)
        if self.rows and gap >= 0:
            self.interval = _usual(self.interval, gap)
        self.rows += len(block.score_N)
        self.arrived = max(self.arrived, last)
        if not on_time_N.any():
            return
        newest = int(np.flatnonzero(on_time_N)[-1])
        highest = int(block.time_N[on_time_N].max())
        put_back = highest < self.newest - 60 * MICROSECONDS
        self.newest = highest if put_back else max(self.newest, highest)
        self.on_time = int(block.arrived_N[newest])
        self.score = float(block.score_N[newest])
        self.anomaly = int(block.anomaly_N[newest])
        self.severity = block.severities[newest]
        self.model_id = model_id


_COLUMNS = tuple(sources.c.keys())
_values = attrgetter(*_COLUMNS)


def hold_states(
    connection: Connection, blocks: Mapping[str, list[Block]], names: Iterable[str]
) -> dict[str, State]:
    """The sources' rows, held; made for those that are heard of for the first time."""
    found = find_rows(connection, sources, ("name",), [(name,) for name in names], hold=True)
    states = {row.name: State(**row._mapping) for row in found}
    for name in names:
        if name not in states:
            states[name] = _made(connection, name, blocks[name][0])
    return states


def save_states(connection: Connection, states: Iterable[State]) -> None:
    """Write the rows."""
    replace_rows(connection, sources, _COLUMNS, [_values(state) for state in states])


def _made(connection: Connection, name: str, first: Block) -> State:
    time, arrived = int(first.time_N[0]), int(first.arrived_N[0])
    values: dict[str, Any] = {
        "name": name,
        "first_time": time,
        "newest": time,
        "arrived": arrived,
        "on_time": arrived,
    }
    made = connection.execute(
        insert(sources), values | {"warm_until": 0, "rows": 0, "interval": 0.0}
    )
    assert made.inserted_primary_key is not None
    return State(id=made.inserted_primary_key[0], **values)


def _usual(before: float, gap: float) -> float:
    """The usual seconds between rows after one more gap. A pause says little of how often a source
    sends, so it may only lengthen it so far."""
    if not before:
        return gap
    return (1 - INTERVAL_WEIGHT) * before + INTERVAL_WEIGHT * min(gap, 10 * before)
