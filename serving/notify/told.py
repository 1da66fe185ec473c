"""Who was told of an alarm: what became of the messages about one of its occurrences."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection, func, select

from serving.history.tables import deliveries, outbox
from serving.history.views import View, maybe, moment
from serving.notify.answers import Means, answer_of

MOST_TOLD = 500


class Delivery(View):
    """One message to one channel about one step of an alarm.

    `summed` is told of in a summary, `unsent` a dry run. `failed`, `problem` and `answer` are of
    the last attempt that did not get through.
    """

    channel: str
    event: str
    at: Annotated[datetime, Field(description="When the step was")]
    stop: Annotated[bool, Field(description="It asks for a line stop")]
    state: Literal["waiting", "sent", "summed", "unsent", "given_up"]
    attempts: int
    done: Annotated[datetime | None, Field(description="When it was sent, or given up")]
    failed: datetime | None
    problem: str | None
    answer: Means
    seen_by: Annotated[str | None, Field(description="Who knows that it was given up")]


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
