"""The list of occurrences: which are meant, newest first, a page at a time.

A page begins at a place in the list and not after so many: what is added meanwhile moves nothing,
and the thousandth page costs what the first does.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Select, case, literal, select, tuple_

from serving.alarms.machine import Active
from serving.alarms.rules import Kind, Priority
from serving.errors import NotFound
from serving.history.database import Database
from serving.history.tables import alarms, models, occurrences, sources
from serving.history.views import Occurrence, microseconds, occurrence_of

PLACE = r"^[0-9]{1,18}\.[0-9]{1,18}$"
READ_AT_ONCE = 1000

Listed = Literal[Active, "ended"]
"""What an occurrence can be: as its alarm, for as long as that is about it, or `ended`."""

_about_it = (alarms.c.occurrence_id == occurrences.c.id) & (
    occurrences.c.ended.is_(None) | (alarms.c.state != "normal")
)
STATE: ColumnElement[str] = case((_about_it, alarms.c.state), else_=literal("ended"))

OCCURRENCES = (
    select(
        occurrences,
        sources.c.name.label("source"),
        STATE.label("state"),
        models.c.name.label("model"),
        models.c.version,
    )
    .join(alarms, alarms.c.id == occurrences.c.alarm_id)
    .join(sources, sources.c.id == occurrences.c.source_id)
    .outerjoin(models, models.c.id == occurrences.c.model_id)
)


class Filters(BaseModel):
    """What an occurrence has to be; anything, where a field is left out."""

    source: Annotated[
        str | None, Field(min_length=1, max_length=200, description="A source's name")
    ] = None
    kind: Kind | None = None
    priority: Priority | None = None
    state: Annotated[
        Listed | None, Field(description="Its alarm's, or `ended` where that is past it")
    ] = None
    label: Annotated[
        Literal["true", "false", "none"] | None, Field(description="`none`: not said yet")
    ] = None
    open: Annotated[bool | None, Field(description="Whether it still goes on")] = None
    acknowledged: bool | None = None
    start: Annotated[
        AwareDatetime | None, Field(description="It went on at or after; RFC 3339, with its zone")
    ] = None
    end: Annotated[
        AwareDatetime | None, Field(description="It began at or before; RFC 3339, with its zone")
    ] = None


class Place(NamedTuple):
    """Where an occurrence stands in the list."""

    began: int
    id: int

    def __str__(self) -> str:
        return f"{self.began}.{self.id}"

    @classmethod
    def told(cls, text: str | None) -> Self | None:
        """The place that a text of the form PLACE names; None for none."""
        if text is None or not re.fullmatch(PLACE, text):
            return None
        began, _, id_ = text.partition(".")
        return cls(int(began), int(id_))


class Page(NamedTuple):
    """Some of the list, and what to ask for the ones around it: `before` the place `next`, `after`
    the place `previous`; None where nothing is left."""

    occurrences: list[Occurrence]
    next: Place | None
    previous: Place | None


def page_of_occurrences(
    connection: Connection,
    filters: Filters,
    *,
    before: Place | None = None,
    after: Place | None = None,
    limit: int = 50,
) -> Page:
    """At most `limit` occurrences, newest first: the newest, those before a place, or those after
    one. Where less than a page comes after it, the page is the newest one, whole."""
    query, here = _matching(filters), tuple_(occurrences.c.began, occurrences.c.id)
    if after is not None:
        newer = query.where(here > tuple_(*after)).order_by(occurrences.c.began, occurrences.c.id)
        rows = connection.execute(newer.limit(limit + 1)).all()
        if len(rows) > limit:
            shown = rows[limit - 1 :: -1]
            return Page([occurrence_of(row) for row in shown], _place(shown[-1]), _place(shown[0]))
    if before is not None:
        query = query.where(here < tuple_(*before))
    query = query.order_by(occurrences.c.began.desc(), occurrences.c.id.desc())
    rows = connection.execute(query.limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(
        [occurrence_of(row) for row in shown],
        _place(shown[-1]) if len(rows) > limit else None,
        None if before is None else _place(shown[0]) if shown else before,
    )


def pages_of_occurrences(database: Database, filters: Filters) -> Iterator[list[Occurrence]]:
    """All of the list, in pages that are not empty; each is a transaction of its own, so that a
    slow reader keeps nothing back."""
    before = None
    while True:
        with database.read() as connection:
            page = page_of_occurrences(connection, filters, before=before, limit=READ_AT_ONCE)
        if page.occurrences:
            yield page.occurrences
        before = page.next
        if before is None:
            return


def one_occurrence(connection: Connection, occurrence_id: int) -> Occurrence:
    """Raises NotFound."""
    found = connection.execute(OCCURRENCES.where(occurrences.c.id == occurrence_id)).first()
    if found is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    return occurrence_of(found)


def _matching(filters: Filters) -> Select[Any]:
    query, c = OCCURRENCES, occurrences.c
    for column, value in (
        (sources.c.name, filters.source),
        (c.kind, filters.kind),
        (c.priority, filters.priority),
        (STATE, filters.state),
    ):
        if value is not None:
            query = query.where(column == value)
    if filters.label is not None:
        said = c.label.is_(None) if filters.label == "none" else c.label == filters.label
        query = query.where(said)
    if filters.open is not None:
        query = query.where(c.ended.is_(None) if filters.open else c.ended.is_not(None))
    if filters.acknowledged is not None:
        known = c.acknowledged
        query = query.where(known.is_not(None) if filters.acknowledged else known.is_(None))
    if filters.start is not None:
        query = query.where(c.ended.is_(None) | (c.ended >= microseconds(filters.start)))
    if filters.end is not None:
        query = query.where(c.began <= microseconds(filters.end))
    return query


def _place(row: Any) -> Place:
    return Place(row.began, row.id)
