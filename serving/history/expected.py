"""What the model that serves now expects of rows that are recorded.

What was expected is kept of anomalies alone: to rebuild every normal row as it comes would cost
each verdict, and as much disk again as the rows themselves. So it is rebuilt for whoever looks, in
one batch. Trends have no such values: the mean of a minute may be a row that no machine ever had
(half of the minute at rest, half under load), and what a model makes of it says nothing of the
minute.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from kizashi.runtime.bundle import EXAMPLE_TOLERANCE
from kizashi.runtime.windows import sliding_windows
from serving.alarms.actions import source_id_of
from serving.following.detectors import Served
from serving.history.record import BoolArray, FloatArray
from serving.history.tables import models, verdicts
from serving.history.views import MILLISECOND, Expected, Numbers, SensorExpected

MOST_ROWS = 20_000
"""Rows looked at, as many as a series has at most."""
MOST_VALUES = 2**20
"""Sensor values that go through the model for one answer: a few megabytes, and well under a second
of a small network."""

IntArray = npt.NDArray[np.intp]


def expected(
    connection: Connection, served: Served, source: str, start: int, end: int, points: int
) -> Expected:
    """What `served` expects of the source's rows from `start` to `end`, in microseconds; of about
    `points` of them, evenly chosen, where there are more. Raises NotFound."""
    contract = served.detector.contract
    length, width = contract.window_length, len(contract.sensors)
    rows, before = _rows(connection, source_id_of(connection, source), start, end, length)
    truncated = len(rows) - before > MOST_ROWS
    rows = rows[: before + MOST_ROWS]
    most = max(1, min(points, MOST_VALUES // (length * width)))
    chosen = np.arange(before, len(rows), max(1, -(-(len(rows) - before) // most)))
    known = _models(connection, {row.model_id for row in rows})
    same_N = np.array([known[row.model_id].bundle == served.bundle.hash for row in rows], bool)
    told_NF = np.full((len(rows), width), np.nan)
    values_NF, fits_N = _values(rows, known, served)
    sure = _sure(chosen, fits_N, length)
    if len(sure):
        told_NF[sure] = _told(served, rows, values_NF, sure, same_N)
    found_NF = told_NF[chosen]
    return Expected(
        source=source,
        model=served.name,
        version=served.version,
        truncated=truncated,
        id=[rows[index].id for index in chosen],
        time=[rows[index].time // MILLISECOND for index in chosen],
        sensors=[
            SensorExpected(name=sensor.name, values=_numbers(found_NF[:, place]))
            for place, sensor in enumerate(contract.sensors)
        ],
        other_versions=int(np.count_nonzero(~same_N[chosen])),
        untold=int(np.count_nonzero(np.isnan(found_NF).all(axis=1))),
    )


def _rows(
    connection: Connection, source_id: int, start: int, end: int, length: int
) -> tuple[list[Any], int]:
    """The rows in the order of their time, behind those that the first one's window needs, and how
    many of those there are."""
    c = verdicts.c
    wanted = select(c.id, c.time, c.score, c.model_id, c["values"]).where(c.source_id == source_id)
    own = wanted.where(c.time.between(start, end)).order_by(c.time, c.id).limit(MOST_ROWS + 1)
    earlier = wanted.where(c.time < start).order_by(c.time.desc(), c.id.desc()).limit(length - 1)
    before = [] if length == 1 else [*connection.execute(earlier)][::-1]
    return [*before, *connection.execute(own)], len(before)


def _models(connection: Connection, ids: set[int]) -> dict[int, Any]:
    query = select(models.c.id, models.c.bundle, models.c.sensors).where(models.c.id.in_(ids))
    return {row.id: row for row in connection.execute(query)}


def _values(
    rows: Sequence[Any], known: dict[int, Any], served: Served
) -> tuple[FloatArray, BoolArray]:
    """The rows' values in the order of the served model's sensors, and which rows it can take:
    those of the same sensors, and whole ones where it fills nothing in."""
    names = served.detector.contract.names
    places: dict[int, list[int] | None] = {}
    for model_id, model in known.items():
        theirs = [sensor["name"] for sensor in msgspec.json.decode(model.sensors)]
        fits = sorted(theirs) == sorted(names)
        places[model_id] = [theirs.index(name) for name in names] if fits else None
    values_NF = np.full((len(rows), len(names)), np.nan)
    fits_N = np.zeros(len(rows), dtype=np.bool_)
    for index, row in enumerate(rows):
        order = places[row.model_id]
        if order is None:
            continue
        sent = msgspec.json.decode(row.values, type=list[float | None])
        values_NF[index] = [math.nan if sent[at] is None else sent[at] for at in order]
        fits_N[index] = True
    if served.detector.missing is None:
        fits_N &= ~np.isnan(values_NF).any(axis=1)
    fits_N &= ~np.isnan(values_NF).all(axis=1)
    return values_NF, fits_N


def _sure(chosen: IntArray, fits_N: BoolArray, length: int) -> IntArray:
    """Of the chosen rows those with a whole window of rows that the model can take."""
    chosen = chosen[chosen >= length - 1]
    fit_N = np.concatenate([[0], np.cumsum(fits_N)])
    whole: IntArray = chosen[fit_N[chosen + 1] - fit_N[chosen - length + 1] == length]
    return whole


def _told(
    served: Served,
    rows: Sequence[Any],
    values_NF: FloatArray,
    sure: IntArray,
    same_N: BoolArray,
) -> FloatArray:
    """What is expected of these rows, NaN where that cannot be told.

    Of a window only its last row is recorded, so the others are taken to be the rows before it.
    That need not be so: what was sent may have skipped rows, or mixed with others. It was so where
    the score comes out as it was recorded, which only the same model can show.
    """
    detector = served.detector
    length = detector.contract.window_length
    windows_BTF = np.asarray(sliding_windows(values_NF, length))[sure - length + 1]
    told_BF = detector.expected(windows_BTF)
    if length > 1:
        same_B = same_N[sure]
        told_BF[~same_B] = np.nan
        if same_B.any():
            recorded_B = np.array([rows[index].score for index in sure[same_B]])
            score_B = detector.score(windows_BTF[same_B])
            allowed_B = EXAMPLE_TOLERANCE * np.maximum(recorded_B, detector.threshold.value)
            wrong_B = np.abs(score_B - recorded_B) > allowed_B
            told_BF[np.flatnonzero(same_B)[wrong_B]] = np.nan
    return told_BF


def _numbers(column_N: FloatArray) -> Numbers:
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in column_N.tolist()]
