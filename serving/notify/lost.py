"""What did not reach anybody, and nobody has said yet that they know: never silently lost.

That is every notification of an alarm that was given up, until a person says that they have seen
it, and every line stop that failed and is still tried. Tests are not among them: who asked for one
is told.
"""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, text, update

from serving.history.tables import IS_LOST, deliveries, outbox
from serving.history.views import View, moment
from serving.notify.answers import Means, answer_of
from serving.notify.message import TEST


class Lost(View):
    """Notifications about one source to one channel that did not get through: given up, or line
    stops that failed and are `waiting` for the next attempt. `since` is when the first of their
    steps was, `problem` why the newest did not arrive."""

    source: str
    channel: str
    name: str
    stop: Annotated[bool, Field(description="They asked for a line stop")]
    waiting: bool
    count: int
    since: AwareDatetime
    last: Annotated[AwareDatetime, Field(description="The last attempt, for /lost/seen")]
    problem: str | None
    answer: Means


def lost(connection: Connection) -> list[Lost]:
    """Line stops first, of these the ones that wait, then the newest."""
    stops = and_(
        deliveries.c.state == "waiting", deliveries.c.stops == 1, deliveries.c.attempts > 0
    )
    found = _grouped(connection, stops, True) + _grouped(connection, text(IS_LOST), False)
    return sorted(found, key=lambda one: (one.stop, one.waiting, one.last), reverse=True)


def unseen(connection: Connection) -> dict[bool, int]:
    """How many were given up that nobody knows of: line stops (True), and others."""
    query = (
        select(deliveries.c.stops, func.count())
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(text(IS_LOST), outbox.c.event != TEST)
        .group_by(deliveries.c.stops)
    )
    found = {bool(stops): count for stops, count in connection.execute(query).all()}
    return {stop: found.get(stop, 0) for stop in (True, False)}


def steps_waiting(connection: Connection) -> int:
    """How many steps of alarms have not reached every channel that they are for."""
    waits = select(deliveries.c.outbox_id).where(deliveries.c.state == "waiting")
    open_ones = or_(outbox.c.taken.is_(None), outbox.c.id.in_(waits))
    query = select(func.count()).where(outbox.c.event != TEST, open_ones)
    return int(connection.execute(query).scalar_one())


def see(
    connection: Connection,
    source: str,
    channel: str,
    *,
    stop: bool,
    last: int,
    who: str,
    now: int,
) -> int:
    """Somebody knows of what was given up until `last`; says of how many. What was given up later
    they have not been shown, whichever step was first."""
    steps = select(outbox.c.id).where(outbox.c.source == source)
    which = and_(
        text(IS_LOST),
        deliveries.c.channel == channel,
        deliveries.c.stops == int(stop),
        deliveries.c.failed <= last,
        deliveries.c.outbox_id.in_(steps),
    )
    return connection.execute(
        update(deliveries).where(which).values(seen=now, seen_by=who)
    ).rowcount


def _grouped(connection: Connection, which: ColumnElement[bool] | Any, waiting: bool) -> list[Lost]:
    c = deliveries.c
    query = (
        select(
            outbox.c.source,
            c.channel,
            c.stops,
            func.max(c.channel_name).label("name"),
            func.count().label("number"),
            func.min(outbox.c.created).label("since"),
            func.max(c.failed).label("last"),
            func.max(c.id).label("newest"),
        )
        .join(outbox, outbox.c.id == c.outbox_id)
        .where(which, outbox.c.event != TEST)
        .group_by(outbox.c.source, c.channel, c.stops)
    )
    rows = connection.execute(query).all()
    newest = select(c.id, c.problem).where(c.id.in_([row.newest for row in rows]))
    problems = {row.id: row.problem for row in connection.execute(newest)}
    return [
        Lost(
            source=row.source,
            channel=row.channel,
            name=row.name,
            stop=bool(row.stops),
            waiting=waiting,
            count=row.number,
            since=moment(row.since),
            last=moment(row.last),
            problem=problems[row.newest],
            answer=answer_of(problems[row.newest]),
        )
        for row in rows
    ]
