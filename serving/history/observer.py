"""Hears of verdicts on the thread that made them; the hot path's only cost of a history.

A normal row is put into a queue and forgotten. An anomaly also leaves a promise with its request:
`serving.history.kept` holds the answer back until the writer has committed it.
"""

import math
import time
from concurrent.futures import Future
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

from kizashi.runtime.detector import Verdicts
from serving.following.detectors import Served
from serving.history.record import UNKEPT, Batch, Row
from serving.history.writer import Writer
from serving.verdicts.scoring import Judged, Origin

FloatArray = npt.NDArray[np.float64]

MOST_EXPLAINED = 200
"""Of one batch so many anomalies are told apart by sensor, the loudest; it takes a model's run for
each."""

pending: ContextVar[list[Future[None]] | None] = ContextVar("pending", default=None)
"""What has to be committed before this request is answered; set by `serving.history.kept`. A thread
that works for the request has the same list, as it runs in a copy of the request's context."""


class HistoryObserver:
    """The keeper of `serving.verdicts.scoring`."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def one(
        self,
        served: Served,
        origin: Origin,
        window_TF: FloatArray,
        score: float,
        anomaly: bool,
        verdicts: Verdicts | None = None,
    ) -> None:
        if origin.protocol == UNKEPT:
            return
        values_F: FloatArray = window_TF[-1]
        if not anomaly:
            row = Row(served, origin, time.time(), values_F, score, False)
            self.writer.put(row, soon=math.isnan(np.vdot(values_F, values_F)))
            return
        kept, window = _promise(), window_TF.copy()
        row = Row(served, origin, time.time(), values_F, score, True, window, verdicts, kept)
        self.writer.put_anomaly(row)

    def many(
        self,
        served: Served,
        origin: Origin,
        windows_BTF: FloatArray,
        judged: Judged,
        verdicts: Verdicts | None = None,
    ) -> None:
        if origin.protocol == UNKEPT:
            return
        anomalies = np.flatnonzero(judged.anomaly_N)
        kept = _promise() if len(anomalies) else None
        loudest = anomalies[np.argsort(-judged.score_N[anomalies])[:MOST_EXPLAINED]]
        batch = Batch(
            served,
            origin,
            time.time(),
            windows_BTF[:, -1].copy(),
            judged.score_N.copy(),
            judged.anomaly_N.copy(),
            loudest,
            windows_BTF[loudest],
            verdicts,
            kept,
        )
        if kept is None:
            self.writer.put(batch)
        else:
            self.writer.put_anomaly(batch)


def _promise() -> Future[None]:
    kept: Future[None] = Future()
    promises = pending.get()
    if promises is not None:
        promises.append(kept)
    return kept
