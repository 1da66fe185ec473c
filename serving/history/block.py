"""Records that wait become blocks: rows of one source and one model, in the order they came."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt

from kizashi.errors import KizashiError
from kizashi.runtime.detector import Verdicts
from serving.following.detectors import Served
from serving.history.record import (
    MICROSECONDS,
    Batch,
    BoolArray,
    FloatArray,
    IntArray,
    Record,
    Row,
    source_of,
    time_of,
)
from serving.history.tables import ANOMALY, ARRIVAL, MISSING, OUT_OF_RANGE
from serving.verdicts.scoring import Origin

_encode = msgspec.json.Encoder().encode


class Detail(msgspec.Struct, frozen=True):
    """What is said of an anomaly: each sensor's share, and the value that was expected of it, in
    the order of the model's sensors."""

    share: list[float]
    expected: list[float]


@dataclass(slots=True)
class Block:
    """Consecutive rows of one source that one model judged."""

    served: Served
    source: str
    time_N: IntArray
    arrived_N: IntArray
    values_NF: FloatArray
    score_N: FloatArray
    flags_N: IntArray
    request_ids: Sequence[str]
    origin: Origin
    severities: list[float | None]
    """Of each anomaly; None of normal rows."""
    batch: bool
    live: bool
    """Whether a named machine may have sent it just now: what nobody in particular sends as one
    file is kept, and says nothing of how any machine is."""
    details: dict[int, Detail] = field(default_factory=dict)

    @property
    def anomaly_N(self) -> BoolArray:
        """Which rows are anomalies."""
        anomaly_N: BoolArray = (self.flags_N & ANOMALY) != 0
        return anomaly_N

    def part(self, source: str, start: int, stop: int) -> "Block":
        """The rows from `start` to `stop`, which are of this source; the arrays are shared."""
        rows = slice(start, stop)
        own = (index for index in self.details if start <= index < stop)
        return Block(
            self.served,
            source,
            self.time_N[rows],
            self.arrived_N[rows],
            self.values_NF[rows],
            self.score_N[rows],
            self.flags_N[rows],
            self.request_ids[rows],
            self.origin,
            self.severities[rows],
            self.batch,
            self.live,
            {index - start: self.details[index] for index in own},
        )

    def p_values(self, kept: npt.NDArray[np.intp]) -> list[float]:
        """Of these rows."""
        calibration = self.served.detector.calibration
        found: list[float] = calibration.p_value(self.score_N[kept]).tolist()
        return found

    def values(self, kept: npt.NDArray[np.intp]) -> list[str]:
        """These rows as JSON; a missing value is null. They are made as one text: none of them has
        a bracket in it."""
        text = _encode(self.values_NF[kept].tolist()).decode()
        return [f"[{row}]" for row in text[2:-2].split("],[")]

    def sensor(self, index: int) -> tuple[str, float] | None:
        """The sensor that contributes most to this anomaly, and its share."""
        detail = self.details.get(index)
        if detail is None or not detail.share:
            return None
        most = max(range(len(detail.share)), key=detail.share.__getitem__)
        return self.served.detector.contract.names[most], detail.share[most]


def blocks_of(records: Iterable[Record]) -> dict[str, list[Block]]:
    """The blocks of each source, in the order of their arrival; anomalies are explained."""
    found: dict[str, list[Block]] = {}
    singles: dict[str, list[Row]] = {}
    for record in records:
        name = source_of(record.origin)
        if isinstance(record, Row):
            singles.setdefault(name, []).append(record)
        else:
            found.setdefault(name, []).append(_of_batch(record, name))
    for block in _of_singles(singles):
        found.setdefault(block.source, []).append(block)
    for blocks in found.values():
        blocks.sort(key=lambda block: int(block.arrived_N[0]))
    return found


def _of_singles(singles: dict[str, list[Row]]) -> Iterator[Block]:
    """Each source's rows; what one model judged of all sources is looked at together."""
    runs_of: dict[int, list[tuple[str, list[Row]]]] = {}
    for name, rows in singles.items():
        for model, run in groupby(rows, key=lambda row: id(row.served)):
            runs_of.setdefault(model, []).append((name, list(run)))
    for runs in runs_of.values():
        together = _of_rows([row for _, run in runs for row in run])
        start = 0
        for name, own in runs:
            yield together.part(name, start, start + len(own))
            start += len(own)


def _of_rows(rows: list[Row]) -> Block:
    """Rows of one model, of whichever sources."""
    served = rows[0].served
    arrived_N = np.array([round(row.arrived * MICROSECONDS) for row in rows], dtype=np.int64)
    told = [
        None if row.origin.timestamp is None else time_of(row.origin.timestamp, arrived)
        for row, arrived in zip(rows, arrived_N.tolist(), strict=True)
    ]
    untold_N = np.array([time is None for time in told])
    time_N = np.array([time or 0 for time in told], dtype=np.int64)
    values_NF = np.stack([row.values_F for row in rows])
    score_N = np.array([row.score for row in rows], dtype=np.float64)
    anomaly_N = np.array([row.anomaly for row in rows], dtype=np.bool_)
    flags_N = _flags(served, values_NF, anomaly_N)
    flags_N[untold_N] |= ARRIVAL
    block = Block(
        served,
        "",
        np.where(untold_N, arrived_N, time_N),
        arrived_N,
        values_NF,
        score_N,
        flags_N,
        [row.origin.request_id for row in rows],
        rows[0].origin,
        _severities(served, score_N, anomaly_N),
        batch=False,
        live=True,
    )
    open_windows = []
    for index, row in enumerate(rows):
        if row.verdicts is not None:
            block.details[index] = _detail(row.verdicts, 0)
        elif row.window is not None:
            open_windows.append((index, row.window))
    _explain(block, open_windows)
    return block


def _of_batch(batch: Batch, name: str) -> Block:
    count = len(batch.score_N)
    arrived = round(batch.arrived * MICROSECONDS)
    time = time_of(batch.origin.timestamp, arrived)
    flags_N = _flags(batch.served, batch.values_NF, batch.anomaly_N)
    if time is None:
        flags_N |= ARRIVAL
    block = Block(
        batch.served,
        name,
        np.full(count, arrived if time is None else time, dtype=np.int64),
        np.full(count, arrived, dtype=np.int64),
        batch.values_NF,
        batch.score_N,
        flags_N,
        [batch.origin.request_id] * count,
        batch.origin,
        _severities(batch.served, batch.score_N, batch.anomaly_N),
        batch=True,
        live=batch.origin.source is not None,
    )
    if batch.verdicts is not None:
        block.details = {int(row): _detail(batch.verdicts, int(row)) for row in batch.loudest}
    else:
        _explain(block, list(zip(batch.loudest.tolist(), batch.windows_BTF, strict=True)))
    return block


def _flags(served: Served, values_NF: FloatArray, anomaly_N: BoolArray) -> IntArray:
    flags_N = np.where(anomaly_N, ANOMALY, 0).astype(np.int64)
    flags_N[np.isnan(values_NF).any(axis=1)] |= MISSING
    flags_N[served.detector.contract.out_of_range(values_NF).any(axis=1)] |= OUT_OF_RANGE
    return flags_N


def _severities(served: Served, score_N: FloatArray, anomaly_N: BoolArray) -> list[float | None]:
    found: list[float | None] = [None] * len(score_N)
    anomalies = np.flatnonzero(anomaly_N)
    if len(anomalies):
        severe = served.detector.calibration.severity(score_N[anomalies])
        for index, severity in zip(anomalies.tolist(), severe.tolist(), strict=True):
            found[index] = severity
    return found


def _explain(block: Block, windows: list[tuple[int, FloatArray]]) -> None:
    """Judge anomalies again, for what is to be said of them: together, as that is cheap."""
    if not windows:
        return
    try:
        verdicts = block.served.detector.judge(np.stack([window for _, window in windows]))
    except (KizashiError, ValueError):  # it was judged before; without shares it is kept as well
        return
    for place, (index, _) in enumerate(windows):
        block.details[index] = _detail(verdicts, place)


def _detail(verdicts: Verdicts, place: int) -> Detail:
    share, expected = verdicts.contribution_BF[place], verdicts.expected_BF[place]
    return Detail(
        [float(f"{one:.4g}") for one in share.tolist()],
        [one if not math.isfinite(one) else float(f"{one:.7g}") for one in expected.tolist()],
    )
