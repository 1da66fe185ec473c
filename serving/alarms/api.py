"""Alarms over HTTP: what there is, and what people do about it.

Every action is one transaction, audited with the name of the key that asked for it.
"""

from collections.abc import Callable
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection

from serving.alarms import actions
from serving.alarms.desk import By, Held
from serving.alarms.export import ListOfOccurrences
from serving.alarms.machine import State
from serving.alarms.rules import Kind, Rules
from serving.history import queries
from serving.history.asked import (
    AnySource,
    Before,
    End,
    Id,
    Kept,
    Limit,
    Start,
    now,
    optional,
    who,
    within,
)
from serving.history.occurrences import (
    PLACE,
    Filters,
    Place,
    one_occurrence,
    page_of_occurrences,
)
from serving.history.record import MICROSECONDS
from serving.history.service import History
from serving.history.table_file import FILE, Format, as_file
from serving.history.tables import alarms, audit, sources
from serving.history.views import (
    Alarms,
    Annotation,
    Annotations,
    Audit,
    AuditEntry,
    Occurrence,
    Occurrences,
)
from serving.notify.told import Delivery, told_of, untaken
from serving.verdicts.openapi import problems

router = APIRouter(prefix="/api", tags=["alarms"])

LONGEST_COMMENT = 2000
WHOLE_AUDIT = 500

Comment = Annotated[str, Field(max_length=LONGEST_COMMENT)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Action = Callable[[Connection, Rules, str, By], list[Held]]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OneKind(_Asked):
    """An alarm of a source, and why."""

    source: Name
    kind: Kind
    comment: Comment = ""


class AnyKind(_Asked):
    """An alarm of a source, or all of them, and why."""

    source: Name
    kind: Kind | None = None
    comment: Comment = ""


class PageOfOccurrences(Filters):
    """Which occurrences, and which page of them."""

    before: Annotated[
        str | None, Field(pattern=PLACE, description="`next` of the page of newer ones")
    ] = None
    after: Annotated[
        str | None, Field(pattern=PLACE, description="`previous` of the page of older ones")
    ] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.before is not None and self.after is not None:
            raise ValueError("only one of 'before' and 'after' can be asked for")
        return self


class FileOfOccurrences(Filters):
    """Which occurrences, and as what."""

    format: Annotated[Format, Field(description="parquet needs the `arrow` extra")] = "csv"


class _Until(BaseModel):
    until: Annotated[AwareDatetime | None, Field(description="RFC 3339, with its zone")] = None
    seconds: Annotated[int | None, Field(ge=1, le=actions.LONGEST_WINDOW)] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.until is None) == (self.seconds is None):
            raise ValueError("one of 'until' and 'seconds' is needed")
        return self

    def ends(self, at: int) -> int:
        """When it is over, in microseconds."""
        if self.until is not None:
            return within(self.until)
        return at + (self.seconds or 0) * MICROSECONDS


class Shelve(OneKind, _Until):
    """Hide an alarm, at most for a day."""


class OutOfService(AnyKind, _Until):
    """Maintenance, at most for 31 days."""


class Label(_Asked):
    """Whether an alarm was a true or a false one; null takes it back."""

    label: Literal["true", "false"] | None
    comment: Comment = ""


class Note(_Asked):
    """A note beside a source's time."""

    source: Name
    start: AwareDatetime
    end: AwareDatetime | None = None
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_COMMENT)]
    label: Annotated[
        Literal["true", "false"] | None,
        Field(description="What the rows of the time were: faulty, or normal. It needs an end"),
    ] = None

    @model_validator(mode="after")
    def _of_a_time(self) -> Self:
        if self.label is not None and self.end is None:
            raise ValueError("'label' says what rows of a time were; 'end' is needed")
        return self


class OccurrenceDetail(Occurrence):
    """An occurrence with all that happened to it, and who was told of that, both newest first."""

    audit: list[AuditEntry]
    deliveries: list[Delivery]
    untaken: Annotated[
        int, Field(description="Steps whose channels are not known yet: nobody has sent them on")
    ]


@router.get("/alarms", summary="Alarms as they are now", responses=problems(422, 500, 503))
def all_alarms(
    history: Kept, source: AnySource = None, kind: Kind | None = None, state: State | None = None
) -> Alarms:
    """One for each source and kind that was ever wrong, loudest first."""
    with history.database.read() as connection:
        found = queries.current_alarms(
            connection, history.rules, source=source, kind=kind, state=state
        )
    return Alarms(alarms=found)


ACTED = problems(404, 409, 422, 500, 503)


@router.post("/alarms/acknowledge", summary="Somebody knows of it", responses=ACTED)
def acknowledge(history: Kept, request: Request, body: AnyKind) -> Alarms:
    """One alarm, or without `kind` all of the source that need it."""

    def act(connection: Connection, rules: Rules, source: str, by: By) -> list[Held]:
        return actions.acknowledge(connection, rules, source, body.kind, by)

    return _act(history, request, body, act)


@router.post("/alarms/shelve", summary="Hide an alarm until a time", responses=ACTED)
def shelve(history: Kept, request: Request, body: Shelve) -> Alarms:
    """It goes on beneath, and stands there unacknowledged afterwards if it is still wrong."""

    def act(connection: Connection, rules: Rules, source: str, by: By) -> list[Held]:
        return actions.shelve(connection, rules, source, body.kind, by)

    return _act(history, request, body, act)


@router.post("/alarms/unshelve", summary="Show a shelved alarm again", responses=ACTED)
def unshelve(history: Kept, request: Request, body: OneKind) -> Alarms:
    """Before its time."""

    def act(connection: Connection, rules: Rules, source: str, by: By) -> list[Held]:
        return actions.unshelve(connection, rules, source, body.kind, by)

    return _act(history, request, body, act)


@router.post("/alarms/out-of-service", summary="Maintenance until a time", responses=ACTED)
def out_of_service(history: Kept, request: Request, body: OutOfService) -> Alarms:
    """One kind, or without `kind` everything about the source."""

    def act(connection: Connection, rules: Rules, source: str, by: By) -> list[Held]:
        return actions.take_out(connection, rules, source, body.kind, by)

    return _act(history, request, body, act)


@router.post("/alarms/in-service", summary="Maintenance is over", responses=ACTED)
def in_service(history: Kept, request: Request, body: AnyKind) -> Alarms:
    """Before its time."""

    def act(connection: Connection, rules: Rules, source: str, by: By) -> list[Held]:
        return actions.put_back(connection, rules, source, body.kind, by)

    return _act(history, request, body, act)


def _act(
    history: History,
    request: Request,
    body: OneKind | AnyKind,
    act: Action,
) -> Alarms:
    at = now()
    until = body.ends(at) if isinstance(body, _Until) else None
    by = By(at, body.comment, who(request), request.state.request_id, until)
    with history.database.write() as connection:
        held = act(connection, history.rules, body.source, by)
        ids = {one.id for one in held}
        found = queries.current_alarms(connection, history.rules, source=body.source)
    return Alarms(alarms=[alarm for alarm in found if alarm.id in ids])


@router.get("/occurrences", summary="When alarms were active", responses=problems(422, 500, 503))
def all_occurrences(history: Kept, asked: Annotated[PageOfOccurrences, Query()]) -> Occurrences:
    """Newest first, a page at a time; `start` and `end` ask for what went on between them.

    What begins while somebody turns the pages moves nothing from one to another. Where less than a
    page is newer than `after`, the answer is the newest page, whole.
    """
    with history.database.read() as connection:
        found = page_of_occurrences(
            connection,
            asked,
            before=Place.told(asked.before),
            after=Place.told(asked.after),
            limit=asked.limit,
        )
    return Occurrences(
        occurrences=found.occurrences,
        next=None if found.next is None else str(found.next),
        previous=None if found.previous is None else str(found.previous),
    )


@router.get(
    "/occurrences/export",
    summary="When alarms were active, as a file",
    response_class=StreamingResponse,
    responses={200: FILE, **problems(415, 422, 500, 503)},
)
def export_occurrences(
    history: Kept, asked: Annotated[FileOfOccurrences, Query()]
) -> StreamingResponse:
    """All that the filters find, newest first; however many, they are written as they are read.

    The CSV is for spreadsheets: it begins with a byte order mark, and a text that would be taken
    for a formula has an apostrophe before it.
    """
    found = ListOfOccurrences(history.database, asked)
    return as_file(found, "alarms", asked.format, mark=True)


@router.get(
    "/occurrences/{occurrence_id}",
    summary="One of them, and all that happened to it",
    responses=problems(404, 422, 500, 503),
)
def occurrence(history: Kept, occurrence_id: Id) -> OccurrenceDetail:
    """With its audit, and with who was told of which step, by which channel."""
    with history.database.read() as connection:
        found = one_occurrence(connection, occurrence_id)
        query = queries.AUDIT.where(audit.c.occurrence_id == occurrence_id)
        entries, _ = queries.page_of_audit(connection, query, None, WHOLE_AUDIT)
        told, waiting = told_of(connection, occurrence_id), untaken(connection, occurrence_id)
    return OccurrenceDetail(**found.model_dump(), audit=entries, deliveries=told, untaken=waiting)


@router.post(
    "/occurrences/{occurrence_id}/label",
    summary="It was a true, or a false alarm",
    responses=problems(404, 422, 500, 503),
)
def label(history: Kept, request: Request, occurrence_id: Id, body: Label) -> Occurrence:
    """Kept for training: its rows are examples of an anomaly, or of what is normal."""
    by = By(now(), body.comment, who(request), request.state.request_id)
    with history.database.write() as connection:
        actions.label(connection, occurrence_id, body.label, by)
        return one_occurrence(connection, occurrence_id)


@router.get("/audit", summary="Every step of every alarm", responses=problems(422, 500, 503))
def all_audit(
    history: Kept,
    source: AnySource = None,
    kind: Kind | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> Audit:
    """Newest first, a page at a time."""
    query = queries.AUDIT
    if source is not None:
        query = query.where(sources.c.name == source)
    if kind is not None:
        query = query.where(alarms.c.kind == kind)
    with history.database.read() as connection:
        entries, more = queries.page_of_audit(connection, query, before, limit)
    return Audit(audit=entries, next=more)


@router.get("/annotations", summary="Notes beside a source", responses=problems(422, 500, 503))
def all_annotations(
    history: Kept,
    source: Annotated[str, Query(min_length=1, max_length=200)],
    start: Start = None,
    end: End = None,
) -> Annotations:
    """In the order of their time."""
    with history.database.read() as connection:
        found = queries.annotations_of(connection, source, optional(start), optional(end))
    return Annotations(annotations=found)


@router.post("/annotations", summary="Write a note", responses=problems(404, 422, 500, 503))
def annotate(history: Kept, request: Request, body: Note) -> Annotation:
    """Of a moment, or of a time with an end. With a `label` the rows of that time are examples for
    training, also where no alarm was raised: of two labels of a row the later one counts."""
    by = By(now(), "", who(request))
    start, end = within(body.start), optional(body.end)
    with history.database.write() as connection:
        made = actions.annotate(connection, body.source, start, end, body.text, by, body.label)
        found = queries.annotations_of(connection, body.source, None, None)
    return next(one for one in found if one.id == made)


@router.delete(
    "/annotations/{annotation_id}",
    summary="Take a note away",
    status_code=204,
    responses=problems(404, 422, 500, 503),
)
def remove_annotation(history: Kept, annotation_id: Id) -> None:
    """For good."""
    with history.database.write() as connection:
        actions.remove_note(connection, annotation_id)
