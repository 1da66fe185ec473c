"""Who was told of an alarm: what became of the messages about one of its occurrences."""

from typing import Any

from sqlalchemy import Connection, func, select

from serving.history.tables import deliveries, outbox
from serving.history.views import Delivery, maybe, moment
from serving.notify.answers import answer_of

MOST_TOLD = 500


def told_of(connection: Connection, occurrence_id: int) -> list[Delivery]:
    """The messages about this occurrence, the newest step first."""
    query = (
        select(deliveries, outbox.c.event, outbox.c.created)
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(outbox.c.occurrence_id == occurrence_id)
        .order_by(outbox.c.id.desc(), deliveries.c.stops.desc(), deliveries.c.id)
        .limit(MOST_TOLD)
    )
    return [_delivery(row) for row in connection.execute(query)]


def untaken(connection: Connection, occurrence_id: int) -> int:
    """How many of its steps nobody has sent on yet."""
    query = select(func.count()).where(
        outbox.c.occurrence_id == occurrence_id, outbox.c.taken.is_(None)
    )
    return int(connection.execute(query).scalar_one())


def _delivery(row: Any) -> Delivery:
    open_or_lost = row.state in ("waiting", "given_up")
    return Delivery(
        channel=row.channel_name,
        event=row.event,
        at=moment(row.created),
        stop=bool(row.stops),
        state=row.state,
        attempts=row.attempts,
        done=maybe(row.done),
        failed=maybe(row.failed),
        problem=row.problem,
        answer=answer_of(row.problem) if open_or_lost else None,
        seen_by=row.seen_by,
    )
