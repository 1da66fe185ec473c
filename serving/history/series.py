"""One source over a time, at the resolution that fits: rows, or trends by minute, hour and day."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from sqlalchemy import Connection, func, select

from serving.alarms.actions import source_id_of
from serving.history.block import Detail
from serving.history.occurrences import Filters, page_of_occurrences
from serving.history.queries import annotations_of
from serving.history.record import MICROSECONDS
from serving.history.tables import ANOMALY, DAY, HOUR, MINUTE, models, trends, verdicts
from serving.history.trends import unpacked
from serving.history.views import MILLISECOND, SensorSeries, Series, Threshold, moment

Resolution = Literal["raw", "minute", "hour", "day"]
SECONDS: dict[Resolution, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
MOST_POINTS = 20_000
MOST_SPANS = 500


def series(
    connection: Connection,
    source: str,
    start: int,
    end: int,
    resolution: Resolution | Literal["auto"] = "auto",
    points: int = 2000,
) -> Series:
    """The source from `start` to `end`, in microseconds; `points` is about how many points may come
    of it where the resolution is left open. Raises NotFound."""
    source_id = source_id_of(connection, source)
    if resolution == "auto":
        resolution = _fitting(connection, source_id, start, end, points)
    find = _rows if resolution == "raw" else _trends
    found: Sequence[Any] = find(connection, source_id, start, end, resolution)
    truncated, found = len(found) > MOST_POINTS, found[:MOST_POINTS]
    known = _models(connection, {row.model_id for row in found})
    raw = resolution == "raw"
    during = Filters(source=source, start=moment(start), end=moment(end))
    spans = page_of_occurrences(connection, during, limit=MOST_SPANS).occurrences
    return Series(
        source=source,
        resolution=resolution,
        start=moment(start),
        end=moment(end),
        truncated=truncated,
        newest=connection.execute(select(func.max(verdicts.c.id))).scalar() or 0,
        id=[row.id for row in found] if raw else None,
        time=[row.time // MILLISECOND for row in found],
        score=[row.score for row in found],
        mean=None if raw else [row.score_sum / row.rows for row in found],
        rows=[1 if raw else row.rows for row in found],
        anomalies=[row.flags & ANOMALY if raw else row.anomalies for row in found],
        sensors=_raw_sensors(found, known) if raw else _trend_sensors(found, known),
        thresholds=_thresholds(found, known),
        spans=spans,
        annotations=annotations_of(connection, source, start, end),
    )


def _fitting(
    connection: Connection, source_id: int, start: int, end: int, points: int
) -> Resolution:
    """The finest resolution that stays within `points`, and has what there is to show."""
    rows = connection.execute(
        select(func.count()).select_from(
            select(verdicts.c.id)
            .where(verdicts.c.source_id == source_id, verdicts.c.time.between(start, end))
            .limit(points + 1)
            .subquery()
        )
    ).scalar_one()
    if 0 < rows <= points and not _rows_let_go(connection, source_id, start):
        return "raw"
    seconds = (end - start) / MICROSECONDS
    for resolution in ("minute", "hour"):
        if seconds / SECONDS[resolution] <= points:
            return resolution
    return "day"


def _rows_let_go(connection: Connection, source_id: int, start: int) -> bool:
    """Whether the first rows asked for have gone already, and only their trends are left."""
    minute = MINUTE * MICROSECONDS
    oldest_normal = connection.execute(
        select(verdicts.c.time)
        .where(verdicts.c.source_id == source_id, verdicts.c.flags.op("&")(ANOMALY) == 0)
        .where(verdicts.c.time >= start - minute)
        .order_by(verdicts.c.time)
        .limit(1)
    ).scalar()
    oldest_trend = connection.execute(
        select(trends.c.start)
        .where(trends.c.source_id == source_id, trends.c.resolution == MINUTE)
        # Anomalies stay: a minute of nothing else tells of no row that has gone.
        .where(trends.c.start >= start, trends.c.rows > trends.c.anomalies)
        .order_by(trends.c.start)
        .limit(1)
    ).scalar()
    if oldest_trend is None:
        return False
    return oldest_normal is None or oldest_trend + minute < oldest_normal


def _rows(
    connection: Connection, source_id: int, start: int, end: int, _resolution: Resolution
) -> Sequence[Any]:
    c = verdicts.c
    query = (
        select(c.id, c.time, c.score, c.flags, c.model_id, c["values"], c.detail)
        .where(c.source_id == source_id, c.time.between(start, end))
        .order_by(c.time, c.id)
        .limit(MOST_POINTS + 1)
    )
    return connection.execute(query).all()


def _trends(
    connection: Connection, source_id: int, start: int, end: int, resolution: Resolution
) -> Sequence[Any]:
    c, width = trends.c, SECONDS[resolution] * MICROSECONDS
    query = (
        select(
            c.start.label("time"), c.score_max.label("score"), c.score_sum, c.rows, c.anomalies,
            c.model_id, c.sensors,
        )
        .where(c.source_id == source_id, c.resolution == SECONDS[resolution])
        .where(c.start >= start // width * width, c.start <= end)
        .order_by(c.start, c.model_id)
        .limit(MOST_POINTS + 1)
    )  # fmt: skip
    return connection.execute(query).all()


def _models(connection: Connection, ids: set[int]) -> dict[int, Any]:
    found = connection.execute(select(models).where(models.c.id.in_(ids))).all()
    return {row.id: row for row in found}


def _names(known: dict[int, Any]) -> tuple[dict[str, str], dict[int, list[str]]]:
    """Units by sensor, over all models, and the sensors' names of each model."""
    units: dict[str, str] = {}
    names: dict[int, list[str]] = {}
    for model_id, row in known.items():
        sensors = msgspec.json.decode(row.sensors)
        names[model_id] = [one["name"] for one in sensors]
        units |= {one["name"]: one["unit"] for one in sensors}
    return units, names


def _raw_sensors(found: Sequence[Any], known: dict[int, Any]) -> list[SensorSeries]:
    units, names = _names(known)
    empty: list[float | None] = [None] * len(found)
    made = {
        name: SensorSeries(
            name=name, unit=unit, values=[*empty], low=None, high=None, expected=[*empty],
            share=[*empty],
        )
        for name, unit in units.items()
    }  # fmt: skip
    for index, row in enumerate(found):
        values = msgspec.json.decode(row.values, type=list[float | None])
        detail = None if row.detail is None else msgspec.json.decode(row.detail, type=Detail)
        for place, name in enumerate(names[row.model_id][: len(values)]):
            one = made[name]
            one.values[index] = values[place]
            if detail is not None and one.expected is not None and one.share is not None:
                one.expected[index], one.share[index] = detail.expected[place], detail.share[place]
    return list(made.values())


def _trend_sensors(found: Sequence[Any], known: dict[int, Any]) -> list[SensorSeries]:
    units, names = _names(known)
    columns = {name: np.full((3, len(found)), np.nan) for name in units}
    for index, row in enumerate(found):
        there, total, low, high = unpacked(row.sensors)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / there
        for place, name in enumerate(names[row.model_id][: len(there)]):
            if there[place]:
                columns[name][:, index] = mean[place], low[place], high[place]
    return [
        SensorSeries(
            name=name,
            unit=unit,
            values=_numbers(columns[name][0]),
            low=_numbers(columns[name][1]),
            high=_numbers(columns[name][2]),
            expected=None,
            share=None,
        )
        for name, unit in units.items()
    ]


def _numbers(column: Any) -> list[float | None]:
    return [None if value != value else value for value in column.tolist()]


def _thresholds(found: Sequence[Any], known: dict[int, Any]) -> list[Threshold]:
    """Each time that another threshold began to hold."""
    made: list[Threshold] = []
    before: int | None = None
    for row in found:
        if row.model_id != before:
            model = known[row.model_id]
            made.append(
                Threshold(
                    start=moment(row.time),
                    value=model.threshold,
                    model=model.name,
                    version=model.version,
                )
            )
        before = row.model_id
    return made[:MOST_SPANS]
