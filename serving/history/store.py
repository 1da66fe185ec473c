"""What one group of records does to the database, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from sqlalchemy import Connection, bindparam, case, insert, select, update

from serving.alarms.rules import Rules
from serving.alarms.watch import Watch
from serving.following.detectors import Served
from serving.history import trends
from serving.history.block import Block, blocks_of
from serving.history.clock import late
from serving.history.database import Database, insert_rows
from serving.history.quality import Quality
from serving.history.record import MICROSECONDS, TOLERANCE, BoolArray, Record
from serving.history.tables import LATE, STUCK, batches, models, sources, verdicts
from serving.verdicts.scoring import Origin

Kept = Literal["anomalies", "full"]
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
INTERVAL_WEIGHT = 0.1
OPEN_BATCHES = 100

# Statements are made once: to make one takes longer than to run it.
_FIND = select(sources).where(sources.c.name == bindparam("at_name")).with_for_update()
_STATE = [column.name for column in sources.c if column.name not in ("id", "name")]
_ADVANCE = (
    update(sources)
    .where(sources.c.id == bindparam("at_id"))
    .values({name: bindparam(name) for name in _STATE})
)


class Summary(NamedTuple):
    """What is known of a batch that may go on; holding its origin keeps the origin's id its own."""

    origin: Origin
    id: int
    before: int
    rows: int
    score_sum: float


class Store:
    """Writes groups; remembers ids that are committed, as they never change."""

    def __init__(self, database: Database, rules: Rules, kept: Kept = "anomalies") -> None:
        self.database = database
        self.rules = rules
        self.kept = kept
        self.summaries: dict[int, Summary] = {}
        self._models: dict[tuple[str, str, str, float], int] = {}

    def write(self, records: Sequence[Record]) -> None:
        """Commit the records, with the alarms that come of them; raises HistoryUnavailable."""
        # Explaining anomalies takes a model's run: it is done before the database is held.
        by_source = blocks_of(records)
        found: dict[tuple[str, str, str, float], int] = {}
        rows: list[tuple[Any, ...]] = []
        summaries: dict[int, Summary] = {}
        with self.database.write() as connection:
            for name in sorted(by_source):
                _Source(connection, self, name, by_source[name], found, rows, summaries).write()
            insert_rows(connection, verdicts, COLUMNS, rows)
        self._models |= found
        self._remember(summaries)

    def _remember(self, summaries: dict[int, Summary]) -> None:
        """Keep the last batches: pieces of one follow each other closely."""
        for key, summary in summaries.items():
            self.summaries.pop(key, None)
            self.summaries[key] = summary
        while len(self.summaries) > OPEN_BATCHES:
            del self.summaries[next(iter(self.summaries))]

    def model_id(
        self, connection: Connection, served: Served, found: dict[tuple[str, str, str, float], int]
    ) -> int:
        """The model's row; `found` keeps it until this transaction is committed."""
        detector = served.detector
        key = (served.name, served.version, served.bundle.hash, detector.threshold.value)
        identity = self._models.get(key) or found.get(key)
        if identity is not None:
            return identity
        names = ("name", "version", "bundle", "threshold")
        values = dict(zip(names, key, strict=True))
        query = select(models.c.id)
        for name, value in values.items():
            query = query.where(models.c[name] == value)
        identity = connection.execute(query).scalar()
        if identity is None:
            sensors = [{"name": one.name, "unit": one.unit} for one in detector.contract.sensors]
            told: dict[str, Any] = {"sensors": msgspec.json.encode(sensors).decode()}
            made = connection.execute(insert(models), values | told)
            assert made.inserted_primary_key is not None
            identity = int(made.inserted_primary_key[0])
        found[key] = identity
        return identity


@dataclass(slots=True)
class _Source:
    """The blocks of one source in one transaction."""

    connection: Connection
    store: Store
    name: str
    blocks: list[Block]
    found: dict[tuple[str, str, str, float], int]
    rows: list[tuple[Any, ...]]
    """Verdicts of all sources, which are inserted together."""
    summaries: dict[int, Summary]
    """Batches of this transaction, which the store believes in once it is committed."""

    def write(self) -> None:
        state = self._state()
        rules = self.store.rules.of(self.name)
        watch: Watch | None = None
        for block in self.blocks:
            model_id = self.store.model_id(self.connection, block.served, self.found)
            severities = block.severities()
            if not block.live:
                self._verdicts(state["id"], model_id, block, severities)
                continue
            after_pause = rules.warm_up.after_pause * MICROSECONDS
            first = int(block.arrived_N[0])
            warm_until = first + round(rules.warm_up.seconds * MICROSECONDS)
            if not state["rows"] or first - state["arrived"] >= after_pause:
                state["warm_until"] = warm_until
            elif first < state["arrived"] - TOLERANCE:  # this machine's clock was put back
                state["warm_until"] = min(state["warm_until"], warm_until)
                state["arrived"] = first
            late_N = late(state["newest"], state["on_time"], block.time_N, block.arrived_N)
            block.flags_N[late_N] |= LATE
            stuck_NF = self._stuck(state, block, ~late_N, rules.data_quality.stuck)
            self._verdicts(state["id"], model_id, block, severities)
            trends.add(
                self.connection,
                state["id"],
                model_id,
                block.time_N,
                block.score_N,
                block.anomaly_N,
                block.values_NF,
            )
            if watch is None:
                watch = Watch(self.connection, rules, state["id"], self.name)
            names = block.served.detector.contract.names

            def stuck(
                index: int,
                names: tuple[str, ...] = names,
                stuck_NF: BoolArray = stuck_NF,
            ) -> str | None:
                return names[int(np.argmax(stuck_NF[index]))]

            watch.rows(block, severities, model_id, stuck, state["warm_until"])
            _advance(state, block, severities, model_id, ~late_N)
        if watch is not None:
            watch.save()
            self.connection.execute(_ADVANCE, {"at_id": state["id"]} | state)

    def _state(self) -> dict[str, Any]:
        """The source's row, held; made for a source that is heard of for the first time."""
        found = self.connection.execute(_FIND, {"at_name": self.name}).mappings().first()
        if found is not None:
            return dict(found)
        first = self.blocks[0]
        time, arrived = int(first.time_N[0]), int(first.arrived_N[0])
        state: dict[str, Any] = {
            "name": self.name,
            "first_time": time,
            "newest": time,
            "arrived": arrived,
            "on_time": arrived,
            "warm_until": 0,
            "rows": 0,
            "interval": 0.0,
        }
        made = self.connection.execute(insert(sources), state)
        assert made.inserted_primary_key is not None
        nothing = dict.fromkeys(("score", "anomaly", "severity", "model_id", "quality"))
        return state | nothing | {"id": made.inserted_primary_key[0]}

    def _stuck(
        self, state: dict[str, Any], block: Block, on_time_N: BoolArray, rows: int
    ) -> BoolArray:
        stuck_NF = np.zeros(block.values_NF.shape, dtype=np.bool_)
        if on_time_N.any():
            quality = Quality.read(state["quality"], block.values_NF.shape[1])
            stuck_NF[on_time_N] = quality.stuck(block.values_NF[on_time_N], rows)
            state["quality"] = quality.write()
            block.flags_N[stuck_NF.any(axis=1)] |= STUCK
        return stuck_NF

    def _verdicts(
        self, source_id: int, model_id: int, block: Block, severities: list[float | None]
    ) -> None:
        batch = self._batch(source_id, model_id, block) if block.batch else None
        everything = not block.batch or self.store.kept == "full"
        count = len(block.score_N)
        kept = np.arange(count) if everything else np.flatnonzero(block.anomaly_N)
        if not len(kept):
            return
        self.rows += [
            (
                source_id,
                time,
                arrived,
                model_id,
                score,
                p_value,
                flags,
                values,
                block.request_ids[index],
                severities[index],
                _json(block, index),
                None if batch is None else batch.id,
                None if batch is None else batch.before + index,
            )
            for index, time, arrived, score, p_value, flags, values in zip(
                kept.tolist(),
                block.time_N[kept].tolist(),
                block.arrived_N[kept].tolist(),
                block.score_N[kept].tolist(),
                block.p_values(kept),
                block.flags_N[kept].tolist(),
                block.values(kept),
                strict=True,
            )
        ]

    def _batch(self, source_id: int, model_id: int, block: Block) -> Summary:
        """The batch's row. A large one comes in pieces, each of the same origin: its summary grows
        with them, and says how many rows were before this piece."""
        key = id(block.origin)
        known = self.summaries.get(key) or self.store.summaries.get(key)
        count, anomalies = len(block.score_N), int(np.count_nonzero(block.anomaly_N))
        total, highest = float(block.score_N.sum()), float(block.score_N.max())
        if known is None:
            values = {
                "source_id": source_id,
                "time": int(block.time_N[0]),
                "arrived": int(block.arrived_N[0]),
                "model_id": model_id,
                "protocol": block.origin.protocol,
                "request_id": block.request_ids[0],
                "rows": count,
                "anomalies": anomalies,
                "score_mean": total / count,
                "score_max": highest,
            }
            made = self.connection.execute(insert(batches), values)
            assert made.inserted_primary_key is not None
            summary = Summary(block.origin, int(made.inserted_primary_key[0]), 0, count, total)
        else:
            summary = known._replace(
                before=known.rows, rows=known.rows + count, score_sum=known.score_sum + total
            )
            highest_yet = case((batches.c.score_max > highest, batches.c.score_max), else_=highest)
            self.connection.execute(
                update(batches)
                .where(batches.c.id == summary.id)
                .values(
                    rows=summary.rows,
                    anomalies=batches.c.anomalies + anomalies,
                    score_mean=summary.score_sum / summary.rows,
                    score_max=highest_yet,
                )
            )
        self.summaries[key] = summary
        return summary


def _advance(
    state: dict[str, Any],
    block: Block,
    severities: list[float | None],
    model_id: int,
    on_time_N: BoolArray,
) -> None:
    """What the source's row says after this block; late rows only count."""
    last = int(block.arrived_N[-1])
    gap = (last - state["arrived"]) / MICROSECONDS / len(block.score_N)
    if state["rows"] and gap >= 0:
        before = state["interval"]
        # A pause says little of how often a source sends, so it may only lengthen it so far.
        gap = min(gap, 10 * before) if before else gap
        state["interval"] = (
            (1 - INTERVAL_WEIGHT) * before + INTERVAL_WEIGHT * gap if before else gap
        )
    state["rows"] += len(block.score_N)
    state["arrived"] = max(state["arrived"], last)
    if not on_time_N.any():
        return
    newest = int(np.flatnonzero(on_time_N)[-1])
    on_time = block.time_N[on_time_N]
    state["on_time"] = int(block.arrived_N[newest])
    put_back = int(on_time.max()) < state["newest"] - 60 * MICROSECONDS
    state["newest"] = int(on_time.max()) if put_back else max(state["newest"], int(on_time.max()))
    state |= {
        "score": float(block.score_N[newest]),
        "anomaly": int(block.anomaly_N[newest]),
        "severity": severities[newest],
        "model_id": model_id,
    }


def _json(block: Block, index: int) -> str | None:
    detail = block.details.get(index)
    return None if detail is None else msgspec.json.encode(detail).decode()
