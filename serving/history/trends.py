"""Trends: what stays of rows when the rows are gone, by minute, hour and day.

Each model has its own, as its scores and its threshold are its own. `sensors` is an array of shape
(4, F) in float64: how many values were there, their sum, the least and the most of each sensor.
"""

from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, and_, bindparam, insert, select, update

from serving.history.record import MICROSECONDS, BoolArray, FloatArray, IntArray
from serving.history.tables import RESOLUTIONS, trends

# Statements are made once: to make one takes longer than to run it.
_KEY = ("source_id", "resolution", "start", "model_id")
_HERE = and_(*(trends.c[name] == bindparam(f"at_{name}") for name in _KEY))
_FIND = select(
    trends.c.rows, trends.c.anomalies, trends.c.score_sum, trends.c.score_max, trends.c.sensors
).where(_HERE)
_CHANGE = update(trends).where(_HERE)
_CHANGED = ("rows", "anomalies", "score_sum", "score_max", "sensors")
_CHANGE = _CHANGE.values({name: bindparam(name) for name in _CHANGED})
_INSERT = insert(trends)

SUMMED = 1e290
"""What is beyond it counts as this in a sum: sums stay finite, however many rows there are."""


class Part(NamedTuple):
    """What a trend tells of some rows."""

    rows: int
    anomalies: int
    score_sum: float
    score_max: float
    sensors_4F: FloatArray


def add(
    connection: Connection,
    source_id: int,
    model_id: int,
    time_N: IntArray,
    score_N: FloatArray,
    anomaly_N: BoolArray,
    values_NF: FloatArray,
) -> None:
    """Add rows to the trends of their times, whether those are now or long ago."""
    everything: Part | None = None
    for resolution in RESOLUTIONS:
        width = resolution * MICROSECONDS
        start_N = time_N // width * width
        first = int(start_N[0])
        if (start_N == first).all():
            everything = everything or _part(score_N, anomaly_N, values_NF)
            _merge(connection, (source_id, resolution, first, model_id), everything)
            continue
        starts, part_N = np.unique(start_N, return_inverse=True)
        for number, start in enumerate(starts.tolist()):
            rows = part_N == number
            part = _part(score_N[rows], anomaly_N[rows], values_NF[rows])
            _merge(connection, (source_id, resolution, start, model_id), part)


def sensors_of(values_NF: FloatArray) -> FloatArray:
    """The array that `sensors` holds, of these rows."""
    there_NF = ~np.isnan(values_NF)
    return np.stack(
        [
            there_NF.sum(axis=0),
            np.where(there_NF, values_NF, 0.0).clip(-SUMMED, SUMMED).sum(axis=0),
            np.where(there_NF, values_NF, np.inf).min(axis=0),
            np.where(there_NF, values_NF, -np.inf).max(axis=0),
        ]
    ).astype(np.float64)


def merged(one_4F: FloatArray, other_4F: FloatArray) -> FloatArray:
    """The array of both; another number of sensors (a model was altered) starts anew."""
    if one_4F.shape != other_4F.shape:
        return other_4F
    return np.stack(
        [
            one_4F[0] + other_4F[0],
            one_4F[1] + other_4F[1],
            np.minimum(one_4F[2], other_4F[2]),
            np.maximum(one_4F[3], other_4F[3]),
        ]
    )


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


def _merge(connection: Connection, key: tuple[int, int, int, int], part: Part) -> None:
    here = {f"at_{name}": value for name, value in zip(_KEY, key, strict=True)}
    found = connection.execute(_FIND, here).first()
    if found is None:
        values = (*key, *part[:4], packed(part.sensors_4F))
        names = (*_KEY, *_CHANGED)
        connection.execute(_INSERT, dict(zip(names, values, strict=True)))
        return
    connection.execute(
        _CHANGE,
        here
        | {
            "rows": found.rows + part.rows,
            "anomalies": found.anomalies + part.anomalies,
            "score_sum": found.score_sum + part.score_sum,
            "score_max": max(found.score_max, part.score_max),
            "sensors": packed(merged(unpacked(found.sensors), part.sensors_4F)),
        },
    )
