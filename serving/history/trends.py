"""Trends: what stays of rows when the rows are gone, by minute, hour and day.

Each model has its own, as its scores and its threshold are its own. `sensors` is an array of shape
(4, F) in float64: how many values were there, their sum, the least and the most of each sensor.
"""

import numpy as np
from sqlalchemy import Connection, and_, insert, select, update

from serving.history.record import MICROSECONDS, BoolArray, FloatArray, IntArray
from serving.history.tables import RESOLUTIONS, trends


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
    for resolution in RESOLUTIONS:
        width = resolution * MICROSECONDS
        starts, part_N = np.unique(time_N // width * width, return_inverse=True)
        for number, start in enumerate(starts.tolist()):
            rows = slice(None) if len(starts) == 1 else part_N == number
            key = (source_id, resolution, start, model_id)
            _merge(connection, key, score_N[rows], anomaly_N[rows], values_NF[rows])


def sensors_of(values_NF: FloatArray) -> FloatArray:
    """The array that `sensors` holds, of these rows."""
    there_NF = ~np.isnan(values_NF)
    return np.stack(
        [
            there_NF.sum(axis=0),
            np.where(there_NF, values_NF, 0.0).sum(axis=0),
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


def _merge(
    connection: Connection,
    key: tuple[int, int, int, int],
    score_N: FloatArray,
    anomaly_N: BoolArray,
    values_NF: FloatArray,
) -> None:
    columns = (trends.c.source_id, trends.c.resolution, trends.c.start, trends.c.model_id)
    here = and_(*(column == value for column, value in zip(columns, key, strict=True)))
    found = connection.execute(
        select(
            trends.c.rows, trends.c.anomalies, trends.c.score_sum, trends.c.score_max,
            trends.c.sensors,
        ).where(here)
    ).first()  # fmt: skip
    sensors_4F = sensors_of(values_NF)
    values = {
        "rows": len(score_N),
        "anomalies": int(np.count_nonzero(anomaly_N)),
        "score_sum": float(score_N.sum()),
        "score_max": float(score_N.max()),
    }
    if found is None:
        names = (column.name for column in columns)
        whole = dict(zip(names, key, strict=True)) | values | {"sensors": packed(sensors_4F)}
        connection.execute(insert(trends), whole)
        return
    connection.execute(
        update(trends).where(here),
        {
            "rows": found.rows + values["rows"],
            "anomalies": found.anomalies + values["anomalies"],
            "score_sum": found.score_sum + values["score_sum"],
            "score_max": max(found.score_max, values["score_max"]),
            "sensors": packed(merged(unpacked(found.sensors), sensors_4F)),
        },
    )
