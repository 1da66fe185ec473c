"""What the API says of history and alarms; exact, so that the documentation is too."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.alarms.machine import State
from serving.alarms.rules import Kind, Priority

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = 1000

Milliseconds = Annotated[list[int], Field(description="Milliseconds since 1970, UTC")]
Ids = Annotated[
    list[int],
    Field(description="What tells rows of one time apart: numbers that grow as rows are recorded"),
]
Numbers = list[float | None]


def moment(time: int) -> datetime:
    """Microseconds since 1970 as a time with its zone."""
    return EPOCH + timedelta(microseconds=time)


def maybe(time: int | None) -> datetime | None:
    """`moment`, where there is one."""
    return None if time is None else moment(time)


def written(time: datetime) -> str:
    """A time as the API writes it."""
    return time.isoformat().replace("+00:00", "Z")


def microseconds(time: datetime) -> int:
    """A time with its zone as microseconds since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


class View(BaseModel):
    """Nothing but what is declared."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Occurrence(View):
    """One time that an alarm began, until it ended; `state` is the alarm's as long as it is about
    this one. Score, severity and sensor are of its worst row."""

    id: int
    alarm_id: int
    source: str
    kind: Kind
    priority: Priority
    state: State | Literal["ended"]
    began: datetime
    ended: datetime | None
    begins: Annotated[int, Field(description="How often it began, summed up while it chatters")]
    chattering: bool
    rows: Annotated[int, Field(description="Wrong rows while it was active")]
    severity: float | None
    score: float | None
    sensor: str | None
    reason: str
    model: str | None
    version: str | None
    request_id: str | None
    acknowledged: datetime | None
    acknowledged_by: str | None
    comment: str | None
    label: Literal["true", "false"] | None


class Alarm(View):
    """One alarm of one source; `occurrence` is the current or the last one."""

    id: int
    source: str
    kind: Kind
    priority: Priority
    state: State
    since: datetime
    until: Annotated[datetime | None, Field(description="Of a shelf or a service window")]
    chattering: bool
    occurrence: Occurrence | None


class Spark(View):
    """One minute of a source."""

    time: Annotated[int, Field(description="Milliseconds since 1970, UTC")]
    score: Annotated[float, Field(description="The highest of the minute")]
    rows: int
    anomalies: int


class Source(View):
    """A source; its state, kind and so on are those of its loudest alarm."""

    name: str
    state: State
    kind: Kind | None
    priority: Priority | None
    severity: float | None
    sensor: str | None
    since: datetime
    newest: Annotated[datetime, Field(description="The newest row's own time")]
    arrived: Annotated[datetime, Field(description="When a row last arrived")]
    rows: int
    score: float | None
    threshold: float | None
    anomaly: bool
    model: str | None
    version: str | None
    alarms: list[Alarm]
    sparkline: list[Spark]


class Sources(View):
    """Every source, loudest first."""

    now: datetime
    sources: list[Source]


class SensorSeries(View):
    """One sensor: its values, or their mean, least and most; what was expected of it, and its
    share, where a row is an anomaly."""

    name: str
    unit: str
    values: Numbers
    low: Numbers | None
    high: Numbers | None
    expected: Numbers | None
    share: Numbers | None


class Threshold(View):
    """From when on which threshold held."""

    start: datetime
    value: float
    model: str
    version: str


class Annotation(View):
    """A note beside a source's time."""

    id: int
    source: str
    start: datetime
    end: datetime | None
    text: str
    label: Annotated[
        Literal["true", "false"] | None, Field(description="Its rows were faulty, or normal")
    ]
    who: str
    at: datetime


class Series(View):
    """One source over a time, in columns; `score` is the row's, or the highest of each part."""

    source: str
    resolution: Literal["raw", "minute", "hour", "day"]
    start: datetime
    end: datetime
    truncated: Annotated[bool, Field(description="There are more rows; the newest are left out")]
    newest: Annotated[int, Field(description="Rows of greater ids are not in this answer")]
    id: Annotated[Ids | None, Field(description="Of rows; null for parts")]
    time: Milliseconds
    score: list[float]
    mean: list[float] | None
    rows: list[int]
    anomalies: list[int]
    sensors: list[SensorSeries]
    thresholds: list[Threshold]
    spans: list[Occurrence]
    annotations: list[Annotation]


class SensorExpected(View):
    """What is expected of one sensor, a value for each row; null where nothing can be said."""

    name: str
    values: Numbers


class Expected(View):
    """What the model that serves now expects of recorded rows, in columns."""

    source: str
    model: str
    version: str
    truncated: Annotated[bool, Field(description="There are more rows; the newest are left out")]
    id: Ids
    time: Milliseconds
    sensors: list[SensorExpected]
    other_versions: Annotated[int, Field(description="Rows here that another bundle judged")]
    untold: Annotated[
        int,
        Field(
            description="Rows of which nothing can be said: they have other sensors, or lack values"
            " or rows of their window"
        ),
    ]


class Alarms(View):
    """Alarms as they are now."""

    alarms: list[Alarm]


class Occurrences(View):
    """A page of occurrences, newest first."""

    occurrences: list[Occurrence]
    next: Annotated[str | None, Field(description="Goes into `before` for the page of older ones")]
    previous: Annotated[
        str | None, Field(description="Goes into `after` for the page of newer ones")
    ]


class AuditEntry(View):
    """One step of one alarm: what happened, from which state to which, by whom and why."""

    id: int
    at: datetime
    source: str
    kind: Kind
    alarm_id: int
    occurrence_id: int | None
    event: str
    before: State
    after: State
    who: str
    why: str
    request_id: str | None
    until: datetime | None


class Audit(View):
    """A page of the audit, newest first."""

    audit: list[AuditEntry]
    next: int | None


class Annotations(View):
    """Notes, in the order of their time."""

    annotations: list[Annotation]


def occurrence_of(row: Any) -> Occurrence:
    """From a row of `occurrences.OCCURRENCES`."""
    return Occurrence(
        id=row.id,
        alarm_id=row.alarm_id,
        source=row.source,
        kind=row.kind,
        priority=row.priority,
        state=row.state,
        began=moment(row.began),
        ended=maybe(row.ended),
        begins=row.begins,
        chattering=bool(row.chattering),
        rows=row.rows,
        severity=row.severity,
        score=row.score,
        sensor=row.sensor,
        reason=row.reason,
        model=row.model,
        version=row.version,
        request_id=row.request_id,
        acknowledged=maybe(row.acknowledged),
        acknowledged_by=row.acknowledged_by,
        comment=row.comment,
        label=row.label,
    )


def entry_of(row: Any) -> AuditEntry:
    """From a row of `queries.AUDIT`."""
    return AuditEntry(
        id=row.id,
        at=moment(row.at),
        source=row.source,
        kind=row.kind,
        alarm_id=row.alarm_id,
        occurrence_id=row.occurrence_id,
        event=row.event,
        before=row.from_state,
        after=row.to_state,
        who=row.who,
        why=row.why,
        request_id=row.request_id,
        until=maybe(row.until),
    )
