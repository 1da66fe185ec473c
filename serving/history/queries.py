"""What is read back of alarms, notes and sources."""

from collections import defaultdict
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from serving.alarms import machine
from serving.alarms.machine import HIDDEN
from serving.alarms.rules import Kind, Priority, Rules
from serving.history.occurrences import OCCURRENCES
from serving.history.record import MICROSECONDS
from serving.history.tables import (
    MINUTE,
    alarms,
    annotations,
    audit,
    labels,
    models,
    occurrences,
    sources,
    trends,
)
from serving.history.views import (
    MILLISECOND,
    Alarm,
    Annotation,
    AuditEntry,
    Occurrence,
    Source,
    Spark,
    entry_of,
    maybe,
    moment,
    occurrence_of,
)

SPARKLINE_MINUTES = 60
LOUDNESS = (
    "unacknowledged",
    "acknowledged",
    "returned_unacknowledged",
    "out_of_service",
    "shelved",
    "suppressed",
    "normal",
)
"""Loudest first. What is wrong now, known or not, comes before what no longer is."""
URGENCY: tuple[Priority, ...] = ("critical", "high", "medium", "low")

AUDIT = (
    select(audit, alarms.c.kind, alarms.c.source_id, sources.c.name.label("source"))
    .join(alarms, alarms.c.id == audit.c.alarm_id)
    .join(sources, sources.c.id == alarms.c.source_id)
)


def page_of_audit(
    connection: Connection, query: Select[Any], before: int | None, limit: int
) -> tuple[list[AuditEntry], int | None]:
    """A page of the audit, newest first, and where the next one begins."""
    if before is not None:
        query = query.where(audit.c.id < before)
    found = connection.execute(query.order_by(audit.c.id.desc()).limit(limit + 1)).all()
    more = found[limit - 1].id if len(found) > limit else None
    return [entry_of(row) for row in found[:limit]], more


def current_alarms(
    connection: Connection,
    rules: Rules,
    *,
    source: str | None = None,
    kind: Kind | None = None,
    state: str | None = None,
) -> list[Alarm]:
    """Alarms as they are now, loudest first."""
    query = select(alarms, sources.c.name.label("source")).join(
        sources, sources.c.id == alarms.c.source_id
    )
    for column, value in ((sources.c.name, source), (alarms.c.kind, kind), (alarms.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    rows = connection.execute(query).all()
    last = OCCURRENCES.where(occurrences.c.id == alarms.c.occurrence_id)
    if source is not None:
        last = last.where(sources.c.name == source)
    by_id = {row.id: occurrence_of(row) for row in connection.execute(last)}
    found = [_alarm(row, rules, by_id.get(row.occurrence_id)) for row in rows]
    return sorted(found, key=lambda one: (*loudness(one), one.source))


def loudness(alarm: Alarm) -> tuple[int, int, float]:
    """Sorts the loudest first: by state, then by priority, then by severity."""
    severity = alarm.occurrence.severity if alarm.occurrence is not None else None
    return LOUDNESS.index(alarm.state), URGENCY.index(alarm.priority), -(severity or 0.0)


def overview(connection: Connection, rules: Rules, now: int) -> list[Source]:
    """Every source, loudest first."""
    of_source = defaultdict(list)
    for alarm in current_alarms(connection, rules):
        of_source[alarm.source].append(alarm)
    sparks = _sparklines(connection, now)
    query = select(
        sources, models.c.name.label("model"), models.c.version, models.c.threshold
    ).outerjoin(models, models.c.id == sources.c.model_id)
    # What nobody in particular sent as a file is no machine that anybody could look at.
    query = query.where(sources.c.rows > 0)
    found = [
        _source(row, of_source[row.name], sparks[row.id]) for row in connection.execute(query).all()
    ]
    return sorted(found, key=_source_loudness)


def annotations_of(
    connection: Connection, source: str, start: int | None, end: int | None
) -> list[Annotation]:
    """Notes beside a source's time."""
    query = (
        select(annotations, sources.c.name.label("source"), labels.c.label)
        .join(sources, sources.c.id == annotations.c.source_id)
        .outerjoin(labels, labels.c.annotation_id == annotations.c.id)
        .where(sources.c.name == source)
    )
    if start is not None:
        query = query.where((annotations.c.start >= start) | (annotations.c.end >= start))
    if end is not None:
        query = query.where(annotations.c.start <= end)
    return [annotation_of(row) for row in connection.execute(query.order_by(annotations.c.start))]


def annotation_of(row: Any) -> Annotation:
    """From a row of the table, with its source's name."""
    return Annotation(
        id=row.id,
        source=row.source,
        start=moment(row.start),
        end=maybe(row.end),
        text=row.text,
        label=None if row.label is None else "true" if row.label == "anomaly" else "false",
        who=row.who,
        at=moment(row.at),
    )


def _alarm(row: Any, rules: Rules, last: Occurrence | None) -> Alarm:
    stored = msgspec.json.decode(row.alarm, type=machine.Alarm)
    until = stored.out_until if row.state == "out_of_service" else stored.shelved_until
    hidden = row.state in HIDDEN and until is not None
    active = stored.active or stored.unacknowledged
    return Alarm(
        id=row.id,
        source=row.source,
        kind=row.kind,
        priority=last.priority if last and active else rules.of(row.source).priority(row.kind),
        state=row.state,
        since=moment(row.since),
        until=moment(round(until * MICROSECONDS)) if hidden and until is not None else None,
        chattering=stored.chattering,
        occurrence=last,
    )


def _source(row: Any, own: list[Alarm], sparkline: list[Spark]) -> Source:
    loudest = own[0] if own and own[0].state != "normal" else None
    last = loudest.occurrence if loudest is not None else None
    return Source(
        name=row.name,
        state="normal" if loudest is None else loudest.state,
        kind=None if loudest is None else loudest.kind,
        priority=None if loudest is None else loudest.priority,
        severity=None if last is None else last.severity,
        sensor=None if last is None else last.sensor,
        since=_normal_since(row, own) if loudest is None else loudest.since,
        newest=moment(row.newest),
        arrived=moment(row.arrived),
        rows=row.rows,
        score=row.score,
        threshold=row.threshold,
        anomaly=bool(row.anomaly),
        model=row.model,
        version=row.version,
        alarms=own,
        sparkline=sparkline,
    )


def _normal_since(row: Any, own: list[Alarm]) -> Any:
    return max([one.since for one in own], default=moment(row.first_time))


def _source_loudness(source: Source) -> tuple[int, int, float, str]:
    urgency = len(URGENCY) if source.priority is None else URGENCY.index(source.priority)
    return LOUDNESS.index(source.state), urgency, -(source.severity or 0.0), source.name


def _sparklines(connection: Connection, now: int) -> dict[int, list[Spark]]:
    width = MINUTE * MICROSECONDS
    first = now // width * width - (SPARKLINE_MINUTES - 1) * width
    sparks: dict[int, list[Spark]] = defaultdict(list)
    for source_id in connection.execute(select(sources.c.id)).scalars().all():
        query = (
            select(trends.c.start, trends.c.score_max, trends.c.rows, trends.c.anomalies)
            .where(trends.c.source_id == source_id, trends.c.resolution == MINUTE)
            .where(trends.c.start >= first, trends.c.start <= now)
            .order_by(trends.c.start)
        )
        for start, score, rows, anomalous in connection.execute(query):
            sparks[source_id].append(
                Spark(time=start // MILLISECOND, score=score, rows=rows, anomalies=anomalous)
            )
    return sparks
