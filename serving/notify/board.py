"""What people see of notifications: the channels, how they fare, and tests of them.

A page's worker knows neither Apprise nor the configuration: the attendant that sends leaves its
channels in the database, and a test is a step in the outbox like any other, so it goes the way that
alarms go: by the process that sends, in its queue, to the receiver.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import msgspec
from pydantic import AwareDatetime, Field
from sqlalchemy import Connection, delete, func, insert, select

from serving.alarms.desk import Payload
from serving.errors import Conflict, NotFound
from serving.history.record import MICROSECONDS
from serving.history.tables import channels, deliveries, outbox
from serving.history.views import View, maybe, moment
from serving.notify.answers import Means, answer_of
from serving.notify.message import TEST, TEST_LASTS_SECONDS
from serving.notify.routes import Tagged

LEASE = "notifications"
"""Of the process that sends."""
LEASE_SECONDS = 15.0
"""A host that is gone is missed after so long: well within the minute that a line stop lives."""


class Told(View):
    """One receiver. `sent` is when it last took a message; `failed`, `problem` and `answer` tell of
    the last attempt that did not get through, which may be long over."""

    id: str
    name: str
    tags: list[str]
    machine: bool
    waiting: Annotated[int, Field(description="Messages that have not arrived yet")]
    sent: AwareDatetime | None
    failed: AwareDatetime | None
    problem: str | None
    answer: Means


@dataclass(frozen=True, slots=True)
class Board:
    """`dry_run`: whether the process that sends only says what it would send."""

    dry_run: bool
    channels: list[Told]

    @property
    def tags(self) -> list[str]:
        """Every tag, in order."""
        return sorted({tag for channel in self.channels for tag in channel.tags})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a test at one channel."""

    channel: str
    state: str
    problem: str | None


class Named(Tagged, Protocol):
    """A channel, as far as people see it."""

    id: str
    name: str


def publish(connection: Connection, known: Iterable[Named], dry_run: bool) -> None:
    """Leave the channels where the pages find them."""
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "tags": msgspec.json.encode(sorted(one.tags)).decode(),
            "machine": int(one.machine),
            "dry_run": int(dry_run),
            "place": place,
        }
        for place, one in enumerate(known)
    ]
    connection.execute(delete(channels))
    connection.execute(insert(channels), rows)


def board(connection: Connection) -> Board:
    """The channels of the configuration, in its order."""
    found = connection.execute(select(channels).order_by(channels.c.place)).all()
    return Board(
        dry_run=any(row.dry_run for row in found),
        channels=[_told(connection, row) for row in found],
    )


def order_test(connection: Connection, tag: str, who: str, now: int) -> int:
    """Have a test sent to the channels of a tag; the number of the order. Raises NotFound for a tag
    that no channel has, and Conflict while a test of it is on its way."""
    tags = board(connection).tags
    if tag not in tags:
        raise NotFound(f"no channel has the tag '{tag}'; there are {', '.join(tags) or 'none'}")
    since = now - round(TEST_LASTS_SECONDS * MICROSECONDS)
    recent = select(outbox.c.id, outbox.c.payload, outbox.c.taken).where(
        outbox.c.event == TEST, outbox.c.created > since
    )
    for row in connection.execute(recent).all():
        if msgspec.json.decode(row.payload, type=Payload).tag == tag and _open(connection, row):
            raise Conflict(f"a test of the tag '{tag}' is on its way")
    payload = payload_of_test(tag, who, now)
    values = {
        "key": payload.key,
        "created": now,
        "event": payload.event,
        "source": payload.source,
        "payload": msgspec.json.encode(payload).decode(),
    }
    made = connection.execute(insert(outbox), values)
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def tested(connection: Connection, order: int) -> list[Outcome] | None:
    """What became of a test, channel by channel; None while nobody has taken it on. Raises
    NotFound."""
    found = connection.execute(
        select(outbox.c.taken).where(outbox.c.id == order, outbox.c.event == TEST)
    ).first()
    if found is None:
        raise NotFound(f"there is no test {order}")
    if found.taken is None:
        return None
    query = (
        select(deliveries.c.channel_name, deliveries.c.state, deliveries.c.problem)
        .where(deliveries.c.outbox_id == order)
        .order_by(deliveries.c.id)
    )
    return [Outcome(*row) for row in connection.execute(query)]


def payload_of_test(tag: str, who: str, now: int) -> Payload:
    """The step that a test is: of no alarm, and nothing that asks for a line stop."""
    return Payload(
        key=uuid.uuid4().hex,
        event=TEST,
        at=now,
        source="kizashi",
        kind="anomaly",
        state="normal",
        before="normal",
        priority="low",
        alarm_id=0,
        audit_id=0,
        who=who,
        tag=tag,
    )


def _open(connection: Connection, row: Any) -> bool:
    if row.taken is None:
        return True
    query = select(func.count()).where(
        deliveries.c.outbox_id == row.id, deliveries.c.state == "waiting"
    )
    return bool(connection.execute(query).scalar_one())


def _told(connection: Connection, row: Any) -> Told:
    mine = deliveries.c.channel == row.id
    waiting = select(func.count()).where(mine, deliveries.c.state == "waiting")
    sent = select(func.max(deliveries.c.done)).where(mine, deliveries.c.state == "sent")
    failed = (
        select(deliveries.c.failed, deliveries.c.problem)
        .where(mine, deliveries.c.failed.is_not(None))
        .order_by(deliveries.c.failed.desc())
        .limit(1)
    )
    last = connection.execute(failed).first()
    return Told(
        id=row.id,
        name=row.name,
        tags=msgspec.json.decode(row.tags, type=list[str]),
        machine=bool(row.machine),
        waiting=connection.execute(waiting).scalar_one(),
        sent=maybe(connection.execute(sent).scalar()),
        failed=None if last is None else moment(last.failed),
        problem=None if last is None else last.problem,
        answer=None if last is None else answer_of(last.problem),
    )
