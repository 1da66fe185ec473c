"""What has to be sent to whom: rows of the history's database, kept until it has arrived.

A delivery is one message for one channel: `waiting`, then `sent`, `summed` (told of in a summary),
`unsent` (a dry run) or `given_up`. Its idempotency key comes of the alarm's step and the channel,
so it is the same at every attempt, also after a crash.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, and_, case, func, insert, select, update

from serving.alarms.desk import Payload
from serving.history.tables import deliveries, outbox
from serving.notify.message import TEST

Done = Literal["sent", "summed", "unsent", "given_up"]
TAKEN_AT_ONCE = 500
LOUD = ("critical", "high")

# As `Payload` is written; what a person wrote has its quotation marks escaped.
_RANK = case(
    *((outbox.c.payload.contains(f'"priority":"{one}"'), place) for place, one in enumerate(LOUD)),
    else_=len(LOUD),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A waiting delivery of a step; `created` and `due` are microseconds since 1970."""

    id: int
    step: int
    channel: str
    stops: bool
    attempts: int
    created: int
    due: int
    payload: Payload

    @property
    def key(self) -> str:
        """The idempotency key of this step for this channel."""
        said = f"{self.payload.key}:{self.channel}:{int(self.stops)}"
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    @property
    def test(self) -> bool:
        """Whether it is only to be seen to arrive."""
        return self.payload.event == TEST

    @property
    def loud(self) -> bool:
        """Whether it must not wait for those that can."""
        return self.payload.priority in LOUD


@dataclass(frozen=True, slots=True)
class Untaken:
    """A step of an alarm that nobody has routed yet."""

    id: int
    created: int
    payload: Payload


def untaken(connection: Connection) -> list[Untaken]:
    """The oldest steps that have no deliveries yet."""
    query = (
        select(outbox.c.id, outbox.c.created, outbox.c.payload)
        .where(outbox.c.taken.is_(None))
        .order_by(outbox.c.id)
        .limit(TAKEN_AT_ONCE)
    )
    return [
        Untaken(row.id, row.created, msgspec.json.decode(row.payload, type=Payload))
        for row in connection.execute(query)
    ]


def take(
    connection: Connection,
    step: Untaken,
    channels: Sequence[tuple[str, str, bool]],
    now: int,
) -> None:
    """Make the deliveries of a step, to channels by id, name and whether they ask for a stop."""
    rows = [
        {
            "outbox_id": step.id,
            "channel": channel,
            "channel_name": name,
            "stops": int(stops),
            "state": "waiting",
            "attempts": 0,
            "due": now,
        }
        for channel, name, stops in channels
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
    connection.execute(update(outbox).where(outbox.c.id == step.id).values(taken=now))


def waiting(connection: Connection, channel: str, limit: int) -> list[Delivery]:
    """What waits for a channel: stops first, then tests, which tell of no alarm and so may
    overtake, then critical alarms, then high ones, and within each in the order of the steps. All
    steps of an alarm have one priority, so it never ends before it began."""
    query = (
        select(
            deliveries.c.id,
            deliveries.c.outbox_id,
            deliveries.c.stops,
            deliveries.c.attempts,
            deliveries.c.due,
            outbox.c.created,
            outbox.c.payload,
        )
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(and_(deliveries.c.state == "waiting", deliveries.c.channel == channel))
        .order_by(
            deliveries.c.stops.desc(),
            case((outbox.c.event == TEST, 0), else_=1),
            _RANK,
            deliveries.c.id,
        )
        .limit(limit)
    )
    return [
        Delivery(
            id=row.id,
            step=row.outbox_id,
            channel=channel,
            stops=bool(row.stops),
            attempts=row.attempts,
            created=row.created,
            due=row.due,
            payload=msgspec.json.decode(row.payload, type=Payload),
        )
        for row in connection.execute(query)
    ]


def oldest_waiting(connection: Connection) -> list[tuple[str, int, int, int]]:
    """Of each channel that something waits for: how much, and the oldest step and its time."""
    query = (
        select(
            deliveries.c.channel,
            func.count(),
            func.min(deliveries.c.outbox_id),
            func.min(outbox.c.created),
        )
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(deliveries.c.state == "waiting")
        .group_by(deliveries.c.channel)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def waiting_steps(connection: Connection) -> set[int]:
    """The steps that some channel has not heard of yet."""
    query = select(deliveries.c.outbox_id).where(deliveries.c.state == "waiting").distinct()
    return set(connection.execute(query).scalars())


def sent_between(
    connection: Connection, channel: str, since: int, until: int
) -> list[tuple[int, bool]]:
    """When a channel was sent alarms between two moments, and whether they were loud."""
    query = (
        select(deliveries.c.done, _RANK)
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(
            and_(
                deliveries.c.channel == channel,
                deliveries.c.state == "sent",
                deliveries.c.done.between(since, until),
                outbox.c.event != TEST,
            )
        )
    )
    return [(done, rank < len(LOUD)) for done, rank in connection.execute(query)]


def close(
    connection: Connection, ids: Iterable[int], state: Done, now: int, problem: str | None = None
) -> None:
    """These need not be tried again. What went wrong before they arrived stays written down."""
    values: dict[str, Any] = {"state": state, "done": now, "attempts": deliveries.c.attempts + 1}
    if problem is not None:
        values["problem"] = problem
    if state == "given_up":
        values["failed"] = now
    connection.execute(update(deliveries).where(deliveries.c.id.in_(list(ids))).values(values))


def postpone(connection: Connection, ids: Iterable[int], due: int, now: int, problem: str) -> None:
    """These did not get through, and are tried again later."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(list(ids)))
        .values(due=due, problem=problem, failed=now, attempts=deliveries.c.attempts + 1)
    )


def abandon(connection: Connection, known: Collection[str], now: int) -> tuple[int, int]:
    """Give up what waits for channels that the configuration no longer has; says of how many, not
    counting tests, and how many of these asked for a stop."""
    gone = and_(deliveries.c.state == "waiting", deliveries.c.channel.not_in(known))
    counted = (
        select(func.count(), func.coalesce(func.sum(deliveries.c.stops), 0))
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(gone, outbox.c.event != TEST)
    )
    count, stops = connection.execute(counted).one()
    told = "the configuration no longer has this channel"
    values = {"state": "given_up", "done": now, "failed": now, "problem": told}
    connection.execute(update(deliveries).where(gone).values(values))
    return int(count), int(stops)
