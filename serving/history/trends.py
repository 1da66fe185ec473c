"""Trends: what stays of rows when the rows are gone, by minute, hour and day.

Each model has its own, as its scores and its threshold are its own. `sensors` is an array of shape
(4, F) in float64: how many values were there, their sum, the least and the most of each sensor.
"""

from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Row

from serving.history.many import find_rows, replace_rows
from serving.history.record import MICROSECONDS, BoolArray, FloatArray, IntArray
from serving.history.tables import RESOLUTIONS, trends

_KEY = ("source_id", "resolution", "start", "model_id")
_SUMS = ("rows", "anomalies", "score_sum", "score_max", "sensors")
Key = tuple[int, int, int, int]

SUMMED = 1e290
"""What is beyond it counts as this in a sum: sums stay finite, however many rows there are."""


class Part(NamedTuple):
    """What a trend tells of some rows."""

    rows: int
    anomalies: int
    score_sum: float
    score_max: float
    sensors_4F: FloatArray


class Sums:
    """What a transaction adds to trends: each is read and written once, whatever adds to it."""

    def __init__(self) -> None:
        self._parts: dict[Key, Part] = {}

    def add(
        self,
        source_id: int,
        model_id: int,
        time_N: IntArray,
        score_N: FloatArray,
        anomaly_N: BoolArray,
        values_NF: FloatArray,
    ) -> None:
        """Add rows to the trends of their times, whether those are now or long ago."""
        everything: Part | None = None
        earliest, latest = int(time_N.min()), int(time_N.max())
        for resolution in RESOLUTIONS:
            width = resolution * MICROSECONDS
            first = earliest // width * width
            if latest < first + width:
                everything = everything or _part(score_N, anomaly_N, values_NF)
                self._add((source_id, resolution, first, model_id), everything)
                continue
            starts, part_N = np.unique(time_N // width * width, return_inverse=True)
            for number, start in enumerate(starts.tolist()):
                rows = part_N == number
                part = _part(score_N[rows], anomaly_N[rows], values_NF[rows])
                self._add((source_id, resolution, start, model_id), part)

    def save(self, connection: Connection) -> None:
        """Write the trends with these rows in them; nothing is left to be added then."""
        for found in find_rows(connection, trends, _KEY, list(self._parts)):
            key = (found.source_id, found.resolution, found.start, found.model_id)
            self._parts[key] = _both(_stored(found), self._parts[key])
        rows = [(*key, *part[:4], packed(part.sensors_4F)) for key, part in self._parts.items()]
        replace_rows(connection, trends, (*_KEY, *_SUMS), rows)
        self._parts = {}

    def _add(self, key: Key, part: Part) -> None:
        before = self._parts.get(key)
        self._parts[key] = part if before is None else _both(before, part)


def sensors_of(values_NF: FloatArray) -> FloatArray:
    """The array that `sensors` holds, of these rows."""
    there_NF = ~np.isnan(values_NF)
    sensors_4F = np.empty((4, values_NF.shape[1]))
    there_NF.sum(axis=0, out=sensors_4F[0])
    values_NF.clip(-SUMMED, SUMMED).sum(axis=0, where=there_NF, out=sensors_4F[1])
    values_NF.min(axis=0, where=there_NF, initial=np.inf, out=sensors_4F[2])
    values_NF.max(axis=0, where=there_NF, initial=-np.inf, out=sensors_4F[3])
    return sensors_4F


def merged(one_4F: FloatArray, other_4F: FloatArray) -> FloatArray:
    """The array of both; another number of sensors (a model was altered) starts anew."""
    if one_4F.shape != other_4F.shape:
        return other_4F
    both_4F = np.empty_like(one_4F)
    np.add(one_4F[:2], other_4F[:2], out=both_4F[:2])
    np.minimum(one_4F[2], other_4F[2], out=both_4F[2])
    np.maximum(one_4F[3], other_4F[3], out=both_4F[3])
    return both_4F


def unpacked(stored: bytes) -> FloatArray:
    """The array in a row of the table, shape (4, F)."""
    return np.frombuffer(stored, dtype="<f8").reshape(4, -1)


def packed(sensors_4F: FloatArray) -> bytes:
    """The array as a row of the table holds it."""
    return sensors_4F.astype("<f8").tobytes()


def _part(score_N: FloatArray, anomaly_N: BoolArray, values_NF: FloatArray) -> Part:
    return Part(
        len(score_N),
        int(np.count_nonzero(anomaly_N)),
        float(score_N.clip(None, SUMMED).sum()),
        float(score_N.max()),
        sensors_of(values_NF),
    )


def _stored(row: Row[Any]) -> Part:
    return Part(row.rows, row.anomalies, row.score_sum, row.score_max, unpacked(row.sensors))


def _both(one: Part, other: Part) -> Part:
    return Part(
        one.rows + other.rows,
        one.anomalies + other.anomalies,
        one.score_sum + other.score_sum,
        max(one.score_max, other.score_max),
        merged(one.sensors_4F, other.sensors_4F),
    )
