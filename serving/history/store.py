"""What one group of records does to the database, in one transaction.

The sources of a group are read together before any of them is looked at, and written together
after all of them: a group takes about as many statements as one source would.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from serving.alarms.desk import hold_all, save
from serving.alarms.rules import Rules
from serving.alarms.watch import Watch
from serving.history.block import Block, blocks_of
from serving.history.database import Database
from serving.history.known import Known, Summary
from serving.history.many import insert_rows
from serving.history.record import Record
from serving.history.states import State, hold_states, save_states
from serving.history.tables import LATE, verdicts
from serving.history.trends import Sums

Kept = Literal["anomalies", "full"]
_encode = msgspec.json.Encoder().encode
IndexArray = npt.NDArray[np.intp]
COLUMNS = (
    "source_id",
    "time",
    "arrived",
    "model_id",
    "score",
    "p_value",
    "flags",
    "values",
    "request_id",
    "severity",
    "detail",
    "batch_id",
    "position",
)


class Store:
    """Writes groups; remembers ids that are committed, as they never change."""

    def __init__(self, database: Database, rules: Rules, kept: Kept = "anomalies") -> None:
        self.database = database
        self.rules = rules
        self.kept = kept
        self._known = Known()

    def write(self, records: Sequence[Record]) -> None:
        """Commit the records, with the alarms that come of them; raises HistoryUnavailable."""
        # Explaining anomalies takes a model's run: it is done before the database is held.
        by_source = blocks_of(records)
        known = Known(self._known)
        with self.database.write() as connection:
            _Group(connection, self.rules, self.kept, known).write(by_source)
        self._known.accept(known)


@dataclass(slots=True)
class _Group:
    """The blocks of several sources in one transaction, and what is written of all at the end."""

    connection: Connection
    rules: Rules
    kept: Kept
    known: Known
    verdicts: list[tuple[Any, ...]] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)

    def write(self, by_source: Mapping[str, list[Block]]) -> None:
        names = sorted(by_source)
        states = hold_states(self.connection, by_source, names)
        live = [states[name] for name in names if any(block.live for block in by_source[name])]
        held = hold_all(self.connection, {state.id: state.name for state in live})
        for name in names:
            state = states[name]
            watch = Watch(
                self.connection, self.rules.of(name), state.id, name, held.get(state.id, {})
            )
            for block in by_source[name]:
                self._block(state, watch, block)
        insert_rows(self.connection, verdicts, COLUMNS, self.verdicts)
        self.sums.save(self.connection)
        save(self.connection, [one for alarms in held.values() for one in alarms.values()])
        save_states(self.connection, live)

    def _block(self, state: State, watch: Watch, block: Block) -> None:
        model_id = self.known.model_id(self.connection, block.served)
        if block.live:
            self._live(state, watch, block, model_id)
        batch = None
        if block.batch:
            batch = self.known.summary(self.connection, state.id, model_id, block)
        everything = not block.batch or self.kept == "full"
        kept = np.arange(len(block.score_N)) if everything else np.flatnonzero(block.anomaly_N)
        if len(kept):
            self.verdicts += _rows(state.id, model_id, block, batch, kept)

    def _live(self, state: State, watch: Watch, block: Block, model_id: int) -> None:
        """What the rows say of how the machine is."""
        rules = watch.rules
        state.warm_up(rules.warm_up, int(block.arrived_N[0]))
        late_N = state.late(block)
        block.flags_N[late_N] |= LATE
        stuck_NF = state.stuck(block, ~late_N, rules.data_quality.stuck)
        self.sums.add(
            state.id, model_id, block.time_N, block.score_N, block.anomaly_N, block.values_NF
        )
        watch.rows(block, stuck_NF, model_id, state.warm_until)
        state.advance(block, model_id, ~late_N)


def _rows(
    source_id: int, model_id: int, block: Block, batch: Summary | None, kept: IndexArray
) -> Iterator[tuple[Any, ...]]:
    """The rows of the table of verdicts."""
    details = {index: _encode(detail).decode() for index, detail in block.details.items()}
    for index, time, arrived, score, p_value, flags, values in zip(
        kept.tolist(),
        block.time_N[kept].tolist(),
        block.arrived_N[kept].tolist(),
        block.score_N[kept].tolist(),
        block.p_values(kept),
        block.flags_N[kept].tolist(),
        block.values(kept),
        strict=True,
    ):
        yield (
            source_id,
            time,
            arrived,
            model_id,
            score,
            p_value,
            flags,
            values,
            block.request_ids[index],
            block.severities[index],
            details.get(index),
            None if batch is None else batch.id,
            None if batch is None else batch.before + index,
        )
