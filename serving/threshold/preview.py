"""What another threshold would mean: for normal rows, for the last week, and for labelled alarms.

Only rows that the same bundle judged count, as scores of another one mean something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, case, func, or_, select

from kizashi.runtime.calibration import ROUNDING, Calibration
from serving.history.record import MICROSECONDS
from serving.history.tables import (
    ANOMALY,
    DAY,
    MINUTE,
    OUT_OF_RANGE,
    labels,
    models,
    occurrences,
    sources,
    trends,
    verdicts,
)

WEEK = 7 * DAY * MICROSECONDS
MINUTE_LONG = MINUTE * MICROSECONDS
MOST_MINUTES = 3000
"""Of one source so many minutes are counted row by row. Where more of them have a score above the
threshold, these are spread over the week and speak for the others."""
LEAST_SPAN = 3600 * MICROSECONDS
"""Rows a day are not told from less than an hour."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibration says of a threshold: `above` of `rows` normal rows lie above it."""

    rows: int
    above: int
    share: float
    by_tail: bool
    """Beyond the largest calibration score the share is the fitted tail's."""


@dataclass(slots=True)
class SourceWeek:
    """One source's week: its rows, and how many of them were anomalies, and would have been."""

    name: str
    rows: int = 0
    then: int = 0
    would: int = 0


@dataclass(slots=True)
class Labelled:
    """Rows of anomaly alarms that somebody marked as true or as false, and those that would be anomalies;
    the same of the alarms themselves, which have at least one such row."""

    true_rows: int = 0
    true_found: int = 0
    false_rows: int = 0
    false_found: int = 0
    true_alarms: int = 0
    true_alarms_found: int = 0
    false_alarms: int = 0
    false_alarms_found: int = 0

    @property
    def precision(self) -> float | None:
        """The share of the labelled rows above the threshold that are of true alarms."""
        found = self.true_found + self.false_found
        return self.true_found / found if found else None

    @property
    def recall(self) -> float | None:
        """The share of the rows of true alarms that are above the threshold."""
        return self.true_found / self.true_rows if self.true_rows else None


@dataclass(slots=True)
class Week:
    """The last week, or what there is of it."""

    start: int
    end: int
    sources: list[SourceWeek] = field(default_factory=list)
    estimated: bool = False
    """Too many rows would have been anomalies to count each."""
    incomplete: bool = False
    """Some rows are not kept any more, or never were: there may have been more anomalies."""
    other_versions: int = 0
    """Rows that other versions judged; they are not counted."""

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.sources)

    @property
    def rows_a_day(self) -> float | None:
        """Rows a day over the time that there were any; None from too short a time."""
        span = self.end - self.start
        return self.rows * DAY * MICROSECONDS / span if span >= LEAST_SPAN and self.rows else None


def calibrated(calibration: Calibration, value: float) -> Calibrated:
    """How many normal rows lie above a threshold of `value`."""
    scores = calibration.scores
    above = int(np.count_nonzero(scores > value * (1 + ROUNDING)))
    if above:
        return Calibrated(len(scores), above, above / len(scores), False)
    decades = calibration.tail.log10_survival(np.array([max(value, calibration.tail.start)]))
    return Calibrated(len(scores), 0, float(min(10 ** decades[0], 1 / len(scores))), True)


def week(connection: Connection, bundle: str, value: float, now: int) -> Week:
    """What the week up to `now` would have been with a threshold of `value`."""
    first = (now - WEEK) // MINUTE_LONG * MINUTE_LONG
    mine = set(
        connection.execute(select(models.c.id).where(models.c.bundle == bundle)).scalars().all()
    )
    found = Week(now, now)
    for source in connection.execute(select(sources.c.id, sources.c.name)).all():
        minutes = _minutes(connection, source.id, first, now)
        found.other_versions += sum(row.rows for row in minutes if row.model_id not in mine)
        own = [row for row in minutes if row.model_id in mine]
        if own:
            found.start = min(found.start, own[0].start)
            found.sources.append(_source_week(connection, source, own, value, found))
    found.sources.sort(key=lambda one: (-one.would, -one.then, one.name))
    return found


def labelled(connection: Connection, bundle: str, value: float) -> Labelled:
    """What of the alarms that people marked as true or false would be found."""
    found = Labelled()
    known = select(models.c.id).where(models.c.bundle == bundle)
    above = verdicts.c.score > value * (1 + ROUNDING)
    # Silence and bad data are not told by a score.
    wanted = select(labels).join(occurrences, occurrences.c.id == labels.c.occurrence_id)
    for label in connection.execute(wanted.where(occurrences.c.kind == "anomaly")).all():
        rows, hits = connection.execute(
            select(func.count(), func.sum(case((or_(above, _out_of_range()), 1), else_=0)))
            .where(verdicts.c.source_id == label.source_id)
            .where(verdicts.c.time.between(label.start, label.end))
            .where(verdicts.c.model_id.in_(known))
        ).one()
        if not rows:
            continue
        hits = int(hits or 0)
        if label.label == "anomaly":
            found.true_rows += rows
            found.true_found += hits
            found.true_alarms += 1
            found.true_alarms_found += hits > 0
        else:
            found.false_rows += rows
            found.false_found += hits
            found.false_alarms += 1
            found.false_alarms_found += hits > 0
    return found


def _minutes(connection: Connection, source_id: int, first: int, now: int) -> Sequence[Any]:
    c = trends.c
    query = (
        select(c.start, c.model_id, c.rows, c.anomalies, c.score_max)
        .where(c.source_id == source_id, c.resolution == MINUTE)
        .where(c.start >= first, c.start <= now)
        .order_by(c.start)
    )
    return connection.execute(query).all()


def _source_week(
    connection: Connection, source: Any, minutes: Sequence[Any], value: float, found: Week
) -> SourceWeek:
    """Only minutes with a score above the threshold, or with anomalies, need to be looked into."""
    limit = value * (1 + ROUNDING)
    wanted = [row for row in minutes if row.score_max > limit or row.anomalies]
    looked = wanted
    if len(wanted) > MOST_MINUTES:
        found.estimated = True
        places = np.linspace(0, len(wanted) - 1, MOST_MINUTES).astype(int)
        looked = [wanted[place] for place in places]
    rows, would = 0, 0
    for start, end, model_ids in _runs(looked):
        counted, above = _count(connection, source.id, start, end, model_ids, limit)
        rows += counted
        would += above
    found.incomplete |= rows < sum(row.rows for row in looked)
    return SourceWeek(
        name=source.name,
        rows=sum(row.rows for row in minutes),
        then=sum(row.anomalies for row in minutes),
        would=round(would * len(wanted) / len(looked)) if looked else 0,
    )


def _runs(minutes: Sequence[Any]) -> list[tuple[int, int, set[int]]]:
    """Minutes that follow one another, as one span with the models that judged in it."""
    runs: list[tuple[int, int, set[int]]] = []
    for row in minutes:
        if runs and row.start <= runs[-1][1]:
            start, _, model_ids = runs[-1]
            runs[-1] = start, row.start + MINUTE_LONG, model_ids | {row.model_id}
        else:
            runs.append((row.start, row.start + MINUTE_LONG, {row.model_id}))
    return runs


def _count(
    connection: Connection, source_id: int, start: int, end: int, model_ids: set[int], limit: float
) -> tuple[int, int]:
    """Rows of a span, and those of them that would be anomalies."""
    c = verdicts.c
    would = or_(c.score > limit, _out_of_range())
    row = connection.execute(
        select(func.count(), func.sum(case((would, 1), else_=0)))
        .where(c.source_id == source_id, c.time >= start, c.time < end)
        .where(c.model_id.in_(model_ids))
    ).one()
    return int(row[0]), int(row[1] or 0)


def _out_of_range() -> Any:
    """A reading beyond its instrument's limits is an anomaly at any threshold."""
    return verdicts.c.flags.op("&")(ANOMALY | OUT_OF_RANGE) == (ANOMALY | OUT_OF_RANGE)
