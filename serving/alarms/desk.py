"""What an alarm's steps write, in one transaction: its row, its occurrences, the audit, the outbox.

An occurrence is one time that an alarm began, until it ended. Whoever changes an alarm holds its
row, so that processes and hosts which share the database share one alarm.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from serving.alarms.machine import HIDDEN, Alarm, Moved, Step
from serving.alarms.rules import KINDS, Kind, Priority, SourceRules
from serving.history.many import find_rows, replace_rows
from serving.history.record import MICROSECONDS
from serving.history.tables import alarms, audit, labels, models, occurrences, outbox

_COLUMNS = ("id", "source_id", "kind", "state", "since", "alarm", "due", "occurrence_id")

# Statements are made once: to make one takes longer than to run it.
_WORST = select(
    *(occurrences.c[name] for name in ("id", "rows", "score", "severity", "sensor"))
).where(occurrences.c.id.in_(bindparam("ids", expanding=True)))
_WORSEN = (
    update(occurrences)
    .where(occurrences.c.id == bindparam("at_id"))
    .values({name: bindparam(name) for name in ("rows", "score", "severity", "sensor")})
)

SERVICE = "kizashi"
"""Who did what no person did."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said of the moment: when (the row's own time), how bad, which sensor, which model."""

    time: int
    reason: str = ""
    score: float | None = None
    severity: float | None = None
    sensor: str | None = None
    model_id: int | None = None


@dataclass(frozen=True, slots=True)
class Worse:
    """More wrong rows in an occurrence, and the worst of them."""

    rows: int
    score: float | None
    severity: float | None
    sensor: str | None

    def after(self, rows: int, before: "Worse | Row[Any]") -> "Worse":
        """Both; the higher score says which sensor it was."""
        if self.score is None or (before.score is not None and before.score >= self.score):
            return Worse(rows, before.score, before.severity, before.sensor)
        severity = max(self.severity or 0.0, before.severity or 0.0)
        return Worse(rows, self.score, severity, self.sensor or before.sensor)


@dataclass(slots=True)
class Held:
    """An alarm whose row this transaction holds."""

    id: int
    source_id: int
    source: str
    kind: Kind
    alarm: Alarm
    since: int
    occurrence_id: int | None
    stored: Alarm
    worse: Worse | None = None
    """What is yet to be written of the occurrence that goes on."""

    def worsen(self, rows: int, worst: Facts) -> None:
        """More wrong rows in the occurrence that goes on; it keeps the worst of them."""
        if self.occurrence_id is None:
            return
        more = Worse(rows, worst.score, worst.severity, worst.sensor)
        self.worse = more if self.worse is None else more.after(self.worse.rows + rows, self.worse)


@dataclass(frozen=True, slots=True)
class By:
    """Who or what moved the alarm, when, and why."""

    at: int
    why: str
    who: str = SERVICE
    request_id: str | None = None
    until: int | None = None


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What a notification is made of; times are microseconds since 1970, UTC."""

    key: str
    event: str
    at: int
    source: str
    kind: str
    state: str
    before: str
    priority: str
    alarm_id: int
    audit_id: int
    occurrence_id: int | None = None
    began: int | None = None
    ended: int | None = None
    severity: float | None = None
    score: float | None = None
    threshold: float | None = None
    sensor: str | None = None
    reason: str = ""
    who: str = SERVICE
    why: str = ""
    until: int | None = None
    model: str | None = None
    version: str | None = None
    begins: int = 0
    tag: str | None = None
    """Of a test: the channels that it is for."""


def hold(
    connection: Connection, source_id: int, source: str, kinds: Iterable[Kind] | None = None
) -> dict[Kind, Held]:
    """The alarms of a source that there are, their rows locked until the transaction ends."""
    wanted = KINDS if kinds is None else tuple(kinds)
    found = hold_all(connection, {source_id: source})[source_id]
    return {kind: held for kind, held in found.items() if kind in wanted}


def hold_all(connection: Connection, names: Mapping[int, str]) -> dict[int, dict[Kind, Held]]:
    """The same of all sources that are named, by their ids."""
    found: dict[int, dict[Kind, Held]] = {source_id: {} for source_id in names}
    for row in find_rows(connection, alarms, ("source_id",), [(one,) for one in names], hold=True):
        found[row.source_id][row.kind] = _held(row, names[row.source_id])
    return found


def create(connection: Connection, source_id: int, source: str, kind: Kind, at: int) -> Held:
    """A new alarm, normal; there must be none of this source and kind."""
    alarm = Alarm()
    values = {"source_id": source_id, "kind": kind, "state": alarm.state, "since": at}
    made = connection.execute(insert(alarms), values | {"alarm": _json(alarm)})
    identity = made.inserted_primary_key
    assert identity is not None
    return Held(identity[0], source_id, source, kind, alarm, at, None, alarm)


def take(
    connection: Connection, held: Held, moved: Moved, rules: SourceRules, by: By, facts: Facts
) -> list[Step]:
    """Take the steps of `moved`, and write down all that follows from them; `save` comes after."""
    before, (held.alarm, steps) = held.alarm, moved
    if held.worse is not None and (steps or held.alarm.repeats > before.repeats):
        _write_worse(connection, [held])
    for step in steps:
        if step.after != step.before:
            held.since = by.at
        _occurrence(connection, held, step, rules.priority(held.kind), by, facts)
        audit_id = _audit(connection, held, step, by)
        if not (step.before in HIDDEN and step.after in HIDDEN):
            _outbox(connection, held, step, rules.priority(held.kind), by, audit_id)
    if held.alarm.repeats > before.repeats:
        _change(connection, held, begins=occurrences.c.begins + 1)
    return steps


def save(connection: Connection, held: Iterable[Held]) -> None:
    """Write the rows in which there is anything new, and what is new of their occurrences."""
    held = list(held)
    _write_worse(connection, [one for one in held if one.worse is not None])
    changed = [one for one in held if one.alarm != one.stored]
    replace_rows(connection, alarms, _COLUMNS, [_row(one) for one in changed])
    for one in changed:
        one.stored = one.alarm


def _write_worse(connection: Connection, held: Sequence[Held]) -> None:
    if not held:
        return
    by_id = {one.occurrence_id: one.worse for one in held}
    found = connection.execute(_WORST, {"ids": list(by_id)})
    changes = []
    for row in found:
        more = by_id[row.id]
        assert more is not None
        worse = more.after(row.rows + more.rows, row)
        changes.append({"at_id": row.id, **asdict(worse)})
    if changes:
        connection.execute(_WORSEN, changes)
    for one in held:
        one.worse = None


def _due(alarm: Alarm) -> float | None:
    """When someone has to look at it again although no row comes; chattering as soon as can be."""
    return alarm.ended if alarm.chattering and not alarm.wrong else alarm.due


def _row(held: Held) -> tuple[Any, ...]:
    alarm = held.alarm
    state, due = alarm.state, _microseconds(_due(alarm))
    values = (held.id, held.source_id, held.kind, state, held.since, _json(alarm), due)
    return (*values, held.occurrence_id)


def _held(row: Row[Any], source: str) -> Held:
    alarm = msgspec.json.decode(row.alarm, type=Alarm)
    return Held(row.id, row.source_id, source, row.kind, alarm, row.since, row.occurrence_id, alarm)


def _occurrence(
    connection: Connection, held: Held, step: Step, priority: Priority, by: By, facts: Facts
) -> None:
    if step.event == "began":
        made = connection.execute(
            insert(occurrences),
            {
                "alarm_id": held.id,
                "source_id": held.source_id,
                "kind": held.kind,
                "priority": priority,
                "began": facts.time,
                "first": _first(held.alarm, facts.time),
                "begins": 1,
                "chattering": 0,
                "rows": 0,
                "severity": facts.severity,
                "score": facts.score,
                "sensor": facts.sensor,
                "reason": facts.reason,
                "model_id": facts.model_id,
                "request_id": by.request_id,
            },
        )
        assert made.inserted_primary_key is not None
        held.occurrence_id = made.inserted_primary_key[0]
    elif step.event == "ended":
        _change(connection, held, ended=facts.time)
        # Who marked it while it went on meant all of it.
        mine = labels.c.occurrence_id == held.occurrence_id
        connection.execute(update(labels).where(mine), {"end": facts.time})
    elif step.event == "chattering":
        begins = len(held.alarm.begins)
        _change(connection, held, chattering=1, begins=begins)
    elif step.event == "acknowledged":
        # All that were left unacknowledged: the alarm's state is of the alarm, not of one of them.
        open_ones = and_(occurrences.c.alarm_id == held.id, occurrences.c.acknowledged.is_(None))
        values = {"acknowledged": by.at, "acknowledged_by": by.who, "comment": by.why}
        connection.execute(update(occurrences).where(open_ones), values)


def _first(alarm: Alarm, began: int) -> int:
    """When the first of the wrong rows that it began with was; row times may go back a little."""
    return min([began, *(round(time * MICROSECONDS) for time in alarm.wrongs)])


def _change(connection: Connection, held: Held, **values: object) -> None:
    mine = occurrences.c.id == held.occurrence_id
    connection.execute(update(occurrences).where(mine).values(**values))


def _audit(connection: Connection, held: Held, step: Step, by: By) -> int:
    made = connection.execute(
        insert(audit),
        {
            "at": by.at,
            "alarm_id": held.id,
            "occurrence_id": held.occurrence_id,
            "event": step.event,
            "from_state": step.before,
            "to_state": step.after,
            "who": by.who,
            "why": by.why,
            "request_id": by.request_id,
            "until": by.until,
        },
    )
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def _outbox(
    connection: Connection, held: Held, step: Step, priority: Priority, by: By, audit_id: int
) -> None:
    found = connection.execute(
        select(occurrences, models.c.name, models.c.version, models.c.threshold)
        .outerjoin(models, occurrences.c.model_id == models.c.id)
        .where(occurrences.c.id == held.occurrence_id)
    ).first()
    payload = Payload(
        key=uuid.uuid4().hex,
        event=step.event,
        at=by.at,
        source=held.source,
        kind=held.kind,
        state=step.after,
        before=step.before,
        priority=priority,
        alarm_id=held.id,
        audit_id=audit_id,
        who=by.who,
        why=by.why,
        until=by.until,
    )
    if found is not None:
        payload = msgspec.structs.replace(
            payload,
            occurrence_id=found.id,
            began=found.began,
            ended=found.ended,
            severity=found.severity,
            score=found.score,
            threshold=found.threshold,
            sensor=found.sensor,
            reason=found.reason,
            model=found.name,
            version=found.version,
            begins=found.begins,
        )
    connection.execute(
        insert(outbox),
        {
            "key": payload.key,
            "created": by.at,
            "event": step.event,
            "source": held.source,
            "occurrence_id": payload.occurrence_id,
            "payload": msgspec.json.encode(payload).decode(),
        },
    )


def _json(alarm: Alarm) -> str:
    return msgspec.json.encode(alarm).decode()


def _microseconds(time: float | None) -> int | None:
    return None if time is None else round(time * MICROSECONDS)
