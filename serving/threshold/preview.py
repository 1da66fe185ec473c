"""What another threshold would mean: for normal rows, for the last week, and for labelled alarms.

Only rows that the same bundle judged count, as scores of another one mean something else.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, and_, case, exists, func, or_, select

from kizashi.runtime.calibration import ROUNDING, Calibration
from serving.history.labelled import longest, means, near
from serving.history.record import MICROSECONDS
from serving.history.tables import (
    ANOMALY,
    DAY,
    MINUTE,
    OUT_OF_RANGE,
    labels,
    models,
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
    """Rows that somebody said were faulty or normal, as those of a true or a false alarm or of a
    time with a note, and those of them that would be anomalies; the same of the alarms themselves,
    which have at least one such row. `missed_rows` are faulty rows of no marked alarm."""

    true_rows: int = 0
    true_found: int = 0
    false_rows: int = 0
    false_found: int = 0
    true_alarms: int = 0
    true_alarms_found: int = 0
    false_alarms: int = 0
    false_alarms_found: int = 0
    missed_rows: int = 0

    @property
    def precision(self) -> float | None:
        """The share of the labelled rows above the threshold that are faulty."""
        found = self.true_found + self.false_found
        return self.true_found / found if found else None

    @property
    def recall(self) -> float | None:
        """The share of the faulty rows that are above the threshold."""
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
    found = Week(now, now)
    for source in connection.execute(select(sources.c.id, sources.c.name)).all():
        within = (
            (trends.c.source_id == source.id)
            & (trends.c.resolution == MINUTE)
            & trends.c.start.between(first, now)
        )
        own = within & trends.c.model_id.in_(_models(bundle))
        total = func.coalesce(func.sum(trends.c.rows), 0)
        every = int(connection.execute(select(total).where(within)).scalar_one())
        mine = connection.execute(
            select(
                func.min(trends.c.start).label("start"),
                total.label("rows"),
                func.coalesce(func.sum(trends.c.anomalies), 0).label("anomalies"),
            ).where(own)
        ).one()
        found.other_versions += every - int(mine.rows)
        if mine.rows:
            found.start = min(found.start, mine.start)
            would = _would(connection, own, value, found)
            found.sources.append(
                SourceWeek(source.name, int(mine.rows), int(mine.anomalies), would)
            )
    found.sources.sort(key=lambda one: (-one.would, -one.then, one.name))
    return found


def labelled(connection: Connection, bundle: str, value: float) -> Labelled:
    """What of the rows and alarms that people labelled would be found.

    A row counts once: of two labels the later one, as in an export of them.
    """
    found = Labelled()
    for label in connection.execute(_counted(connection, bundle, value)):
        of_alarm = label.occurrence_id is not None
        if label.label == "anomaly":
            found.true_alarms += of_alarm
            found.true_alarms_found += of_alarm and label.above > 0
            found.true_rows += label.held
            found.true_found += label.held_above
            found.missed_rows += 0 if of_alarm else label.held
        else:
            found.false_alarms += of_alarm
            found.false_alarms_found += of_alarm and label.above > 0
            found.false_rows += label.held
            found.false_found += label.held_above
    return found


def _counted(connection: Connection, bundle: str, value: float) -> Select[Any]:
    """Of each label that means a row: its rows above the threshold, those of its rows that no later
    label means, and those of these above it."""
    later = labels.alias("later")
    # Silence and bad data are not told by a score.
    of_score = or_(labels.c.bits.is_(None), labels.c.bits == ANOMALY)
    after = or_(later.c.at > labels.c.at, and_(later.c.at == labels.c.at, later.c.id > labels.c.id))
    overruled = (
        exists()
        .where(near(later, longest(connection) or 0), means(later), after)
        .where(or_(later.c.bits.is_(None), later.c.bits == ANOMALY))
        .correlate(verdicts, labels)
    )
    above = or_(verdicts.c.score > value * (1 + ROUNDING), _out_of_range())
    row = (
        select(
            labels.c.id,
            labels.c.label,
            labels.c.occurrence_id,
            case((above, 1), else_=0).label("above"),
            case((overruled, 0), else_=1).label("held"),
        )
        .where(of_score, means(labels))
        .where(verdicts.c.model_id.in_(_models(bundle)))
        .subquery()
    )
    c = row.c
    return select(
        c.label,
        c.occurrence_id,
        func.sum(c.above).label("above"),
        func.sum(c.held).label("held"),
        func.sum(c.above * c.held).label("held_above"),
    ).group_by(c.id, c.label, c.occurrence_id)


def _models(bundle: str) -> Any:
    """A bundle is several rows of `models`: one for each name, version and threshold it had."""
    return select(models.c.id).where(models.c.bundle == bundle)


def _would(connection: Connection, own: Any, value: float, found: Week) -> int:
    """Rows of a source's minutes that would be anomalies. Only minutes with a score above the
    threshold, or with anomalies, need to be looked into; the database does it by itself, as the
    interpreter must not be held while rows are judged."""
    limit = value * (1 + ROUNDING)
    wanted = own & ((trends.c.score_max > limit) | (trends.c.anomalies > 0))
    rows_of = func.coalesce(func.sum(trends.c.rows), 0)
    counted = select(func.count(), rows_of, func.min(trends.c.start))
    minutes, rows, first = connection.execute(counted.where(wanted)).one()
    if not minutes:
        return 0
    looked = rows
    if minutes > MOST_MINUTES:
        found.estimated = True
        step = -(-minutes // MOST_MINUTES) | 1  # odd, so as not to meet a machine's own rhythm
        minute = trends.c.start.op("/")(MINUTE_LONG)  # of whole numbers, in both databases
        wanted = wanted & (minute.op("%")(step) == first // MINUTE_LONG % step)
        looked = connection.execute(counted.where(wanted)).one()[1]
    c = verdicts.c
    theirs = (
        (c.source_id == trends.c.source_id)
        & (c.model_id == trends.c.model_id)
        & (c.time >= trends.c.start)
        & (c.time < trends.c.start + MINUTE_LONG)
    )
    above = case((or_(c.score > limit, _out_of_range()), 1), else_=0)
    kept, would = connection.execute(
        select(func.count(), func.coalesce(func.sum(above), 0))
        .select_from(trends)
        .join(verdicts, theirs)
        .where(wanted)
    ).one()
    found.incomplete |= kept < looked
    return round(int(would) * int(rows) / int(looked)) if looked else 0


def _out_of_range() -> Any:
    """A reading beyond its instrument's limits is an anomaly at any threshold."""
    return verdicts.c.flags.op("&")(ANOMALY | OUT_OF_RANGE) == (ANOMALY | OUT_OF_RANGE)
