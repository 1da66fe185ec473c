"""Which rows people's labels mean: all of a note's time, and the wrong ones of an alarm's."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select

from serving.history.tables import ANOMALY, BAD_DATA, labels, verdicts

WRONG = {"anomaly": ANOMALY, "data_quality": BAD_DATA}
"""Bits of the rows that an alarm is about, by its kind; silence has none."""


def means(label: Any) -> ColumnElement[bool]:
    """Whether a label, a row of `labels` or an alias of it, means a row of `verdicts`."""
    return and_(
        label.c.source_id == verdicts.c.source_id,
        label.c.start <= verdicts.c.time,
        label.c.end >= verdicts.c.time,
        or_(label.c.bits.is_(None), verdicts.c.flags.op("&")(label.c.bits) != 0),
    )


def longest(connection: Connection) -> int | None:
    """The longest time of a label, in microseconds; None without labels.

    A label that means a row begins at most so long before it: an index finds it by that.
    """
    found = connection.execute(select(func.max(labels.c.end - labels.c.start))).scalar()
    return None if found is None else int(found)


def near(label: Any, longest: int) -> ColumnElement[bool]:
    """What any label that means a row of `verdicts` fulfils."""
    return and_(
        label.c.start >= verdicts.c.time - longest,
        label.c.start <= verdicts.c.time,
    )


def unlabelled(connection: Connection) -> list[ColumnElement[bool]]:
    """What a row of `verdicts` fulfils that no label means."""
    span = longest(connection)
    if span is None:
        return []
    meant = exists().where(near(labels, span), means(labels)).correlate(verdicts)
    return [not_(meant)]
