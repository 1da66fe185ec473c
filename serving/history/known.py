"""Ids that the writer has looked up and may need again; believed once they are committed."""

from typing import Any, NamedTuple

import msgspec
import numpy as np
from sqlalchemy import Connection, case, insert, select, update

from serving.following.detectors import Served
from serving.history.block import Block
from serving.history.tables import batches, models
from serving.verdicts.scoring import Origin

OPEN_BATCHES = 100
_IDENTITY = ("name", "version", "bundle", "threshold")
Identity = tuple[str, str, str, float]


class Summary(NamedTuple):
    """What is known of a batch that may go on; holding its origin keeps the origin's id its own."""

    origin: Origin
    id: int
    before: int
    rows: int
    score_sum: float


class Known:
    """Models and open batches. What a transaction adds is in a copy of its own, which `accept`
    takes over after the commit."""

    def __init__(self, earlier: "Known | None" = None) -> None:
        self._earlier = earlier
        self._models: dict[Identity, int] = {}
        self._summaries: dict[int, Summary] = {}

    def accept(self, later: "Known") -> None:
        """Believe what a transaction found, and keep its last batches: pieces of one follow each
        other closely."""
        self._models |= later._models
        for key, summary in later._summaries.items():
            self._summaries.pop(key, None)
            self._summaries[key] = summary
        while len(self._summaries) > OPEN_BATCHES:
            del self._summaries[next(iter(self._summaries))]

    def model_id(self, connection: Connection, served: Served) -> int:
        """The model's row."""
        detector = served.detector
        key = (served.name, served.version, served.bundle.hash, detector.threshold.value)
        known = self._model(key)
        if known is None:
            known = self._models[key] = _model_row(connection, served, key)
        return known

    def summary(
        self, connection: Connection, source_id: int, model_id: int, block: Block
    ) -> Summary:
        """The batch's row. A large one comes in pieces, each of the same origin: its summary grows
        with them, and says how many rows were before this piece."""
        known = self._summary(id(block.origin))
        if known is None:
            known = _batch_row(connection, source_id, model_id, block)
        else:
            known = _with_piece(connection, known, block)
        self._summaries[id(block.origin)] = known
        return known

    def _model(self, key: Identity) -> int | None:
        known = self._models.get(key)
        return self._earlier._model(key) if known is None and self._earlier else known

    def _summary(self, key: int) -> Summary | None:
        known = self._summaries.get(key)
        return self._earlier._summary(key) if known is None and self._earlier else known


def _model_row(connection: Connection, served: Served, key: Identity) -> int:
    values = dict(zip(_IDENTITY, key, strict=True))
    query = select(models.c.id)
    for name, value in values.items():
        query = query.where(models.c[name] == value)
    found = connection.execute(query).scalar()
    if found is not None:
        return int(found)
    sensors = [{"name": one.name, "unit": one.unit} for one in served.detector.contract.sensors]
    told: dict[str, Any] = {"sensors": msgspec.json.encode(sensors).decode()}
    made = connection.execute(insert(models), values | told)
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def _batch_row(connection: Connection, source_id: int, model_id: int, block: Block) -> Summary:
    count, total = len(block.score_N), float(block.score_N.sum())
    values = {
        "source_id": source_id,
        "time": int(block.time_N[0]),
        "arrived": int(block.arrived_N[0]),
        "model_id": model_id,
        "protocol": block.origin.protocol,
        "request_id": block.request_ids[0],
        "rows": count,
        "anomalies": int(np.count_nonzero(block.anomaly_N)),
        "score_mean": total / count,
        "score_max": float(block.score_N.max()),
    }
    made = connection.execute(insert(batches), values)
    assert made.inserted_primary_key is not None
    return Summary(block.origin, int(made.inserted_primary_key[0]), 0, count, total)


def _with_piece(connection: Connection, known: Summary, block: Block) -> Summary:
    highest = float(block.score_N.max())
    summary = known._replace(
        before=known.rows,
        rows=known.rows + len(block.score_N),
        score_sum=known.score_sum + float(block.score_N.sum()),
    )
    highest_yet = case((batches.c.score_max > highest, batches.c.score_max), else_=highest)
    connection.execute(
        update(batches)
        .where(batches.c.id == summary.id)
        .values(
            rows=summary.rows,
            anomalies=batches.c.anomalies + int(np.count_nonzero(block.anomaly_N)),
            score_mean=summary.score_sum / summary.rows,
            score_max=highest_yet,
        )
    )
    return summary
