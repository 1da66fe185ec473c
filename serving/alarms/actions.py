"""What people do to alarms; each within one transaction, and audited with who and why."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from serving.alarms import machine
from serving.alarms.desk import By, Facts, Held, create, hold, save, take
from serving.alarms.machine import NEEDS_ACKNOWLEDGEMENT, Alarm, Forbidden, Moved
from serving.alarms.rules import KINDS, Kind, Rules
from serving.errors import Conflict, NotFound
from serving.history.labelled import WRONG
from serving.history.record import MICROSECONDS
from serving.history.tables import annotations, labels, occurrences, sources

LONGEST_SHELF = 24 * 3600
"""Seconds. Longer than a day and a shelf becomes the place where alarms are forgotten."""
LONGEST_WINDOW = 31 * 86_400

Move = Callable[[Alarm], Moved]


def acknowledge(
    connection: Connection, rules: Rules, source: str, kind: Kind | None, by: By
) -> list[Held]:
    """Acknowledge one alarm, or all of the source that need it; raises NotFound or Conflict."""
    source_id = source_id_of(connection, source)
    held = hold(connection, source_id, source, None if kind is None else [kind])
    if kind is None:
        held = {k: one for k, one in held.items() if one.alarm.state in NEEDS_ACKNOWLEDGEMENT}
        if not held:
            raise Conflict(f"no alarm of source '{source}' needs to be acknowledged")
    elif kind not in held:
        raise Conflict(f"the {kind} alarm of source '{source}' is normal")
    return _move(connection, rules, list(held.values()), machine.acknowledge, by)


def shelve(connection: Connection, rules: Rules, source: str, kind: Kind, by: By) -> list[Held]:
    """Hide one alarm until `by.until`; raises NotFound or Conflict."""
    until = _until(by, LONGEST_SHELF, "shelved")
    now = by.at / MICROSECONDS
    held = _held_or_made(connection, source, [kind], by.at)
    return _move(connection, rules, held, lambda alarm: machine.shelve(alarm, until, now), by)


def unshelve(connection: Connection, rules: Rules, source: str, kind: Kind, by: By) -> list[Held]:
    """Show it again; raises NotFound or Conflict."""
    held = _held_or_made(connection, source, [kind], by.at)
    return _move(connection, rules, held, machine.unshelve, by)


def take_out(
    connection: Connection, rules: Rules, source: str, kind: Kind | None, by: By
) -> list[Held]:
    """Out of service until `by.until`, one kind or all of a source; raises NotFound or Conflict."""
    until = _until(by, LONGEST_WINDOW, "out of service")
    now = by.at / MICROSECONDS
    held = _held_or_made(connection, source, KINDS if kind is None else [kind], by.at)
    return _move(connection, rules, held, lambda alarm: machine.take_out(alarm, until, now), by)


def put_back(
    connection: Connection, rules: Rules, source: str, kind: Kind | None, by: By
) -> list[Held]:
    """Back in service; raises NotFound or Conflict."""
    source_id = source_id_of(connection, source)
    held = list(hold(connection, source_id, source, None if kind is None else [kind]).values())
    if kind is None:
        held = [one for one in held if one.alarm.out_until is not None]
    if not held:
        raise Conflict(f"no such alarm of source '{source}' is out of service")
    return _move(connection, rules, held, machine.put_back, by)


def label(connection: Connection, occurrence_id: int, told: str | None, by: By) -> None:
    """Say that an occurrence was a true or a false alarm, or take it back; raises NotFound.

    The wrong rows from the first that it began with to its end are then examples for training:
    anomalies, or normal. The normal rows among them say nothing: they are not what it was about.
    """
    query = select(occurrences).where(occurrences.c.id == occurrence_id)
    found = connection.execute(query).first()
    if found is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    mine = occurrences.c.id == occurrence_id
    connection.execute(update(occurrences).where(mine), {"label": told})
    connection.execute(delete(labels).where(labels.c.occurrence_id == occurrence_id))
    if told is None:
        return
    connection.execute(
        insert(labels),
        {
            "source_id": found.source_id,
            "start": found.began if found.first is None else found.first,
            "end": by.at if found.ended is None else found.ended,
            "bits": WRONG.get(found.kind, 0),
            "label": "anomaly" if told == "true" else "normal",
            "occurrence_id": occurrence_id,
            "at": by.at,
            "who": by.who,
            "comment": by.why,
        },
    )


def annotate(
    connection: Connection,
    source: str,
    start: int,
    end: int | None,
    text: str,
    by: By,
    told: str | None = None,
) -> int:
    """Write a note beside a source's time; its id. Where it says of a time with an end what its
    rows were (`true`: faulty, `false`: normal), they are examples as those of an alarm are. Raises
    NotFound."""
    values = {
        "source_id": source_id_of(connection, source),
        "start": start,
        "end": end,
        "text": text,
        "at": by.at,
        "who": by.who,
    }
    made = connection.execute(insert(annotations), values)
    assert made.inserted_primary_key is not None
    note = int(made.inserted_primary_key[0])
    if told is not None and end is not None:
        label = {
            "source_id": values["source_id"],
            "start": start,
            "end": end,
            "label": "anomaly" if told == "true" else "normal",
            "at": by.at,
            "who": by.who,
            "comment": text,
            "annotation_id": note,
        }
        connection.execute(insert(labels), label)
    return note


def remove_note(connection: Connection, annotation_id: int) -> None:
    """Take a note away, with what it said of its rows; raises NotFound."""
    mine = annotations.c.id == annotation_id
    if connection.execute(select(annotations.c.id).where(mine)).first() is None:
        raise NotFound(f"there is no annotation {annotation_id}")
    connection.execute(delete(labels).where(labels.c.annotation_id == annotation_id))
    connection.execute(delete(annotations).where(mine))


def source_id_of(connection: Connection, source: str) -> int:
    """The source's id; raises NotFound for one that has never sent anything."""
    found = connection.execute(select(sources.c.id).where(sources.c.name == source)).scalar()
    if found is None:
        raise NotFound(f"source '{source[:200]}' has never sent a row")
    return int(found)


def _held_or_made(
    connection: Connection, source: str, kinds: Sequence[Kind], at: int
) -> list[Held]:
    source_id = source_id_of(connection, source)
    held = hold(connection, source_id, source, kinds)
    return [held.get(kind) or create(connection, source_id, source, kind, at) for kind in kinds]


def _until(by: By, longest: int, what: str) -> float:
    assert by.until is not None
    if by.until - by.at > longest * MICROSECONDS:
        raise Conflict(f"an alarm can be {what} for {longest // 3600} hours at most")
    return by.until / MICROSECONDS


def _move(connection: Connection, rules: Rules, held: list[Held], move: Move, by: By) -> list[Held]:
    for one in held:
        try:
            moved = move(one.alarm)
        except Forbidden as error:
            raise Conflict(str(error)) from error
        take(connection, one, moved, rules.of(one.source), by, Facts(by.at))
    save(connection, held)
    return held
