"""GET /api/events: what happens, as it happens, by server-sent events.

An event's id says how far its reader has read, in the audit and in the verdicts. Both have ids in
the order of their commits, so who comes back with `Last-Event-ID` is told all that it missed, by
whichever worker it meets. The threshold is what the worker itself judges by: each reader is told of
it at first, whenever it is another, and whenever something was decided of it.
"""

import asyncio
import re
import signal
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from types import FrameType
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection, func, select

from serving.errors import HistoryUnavailable
from serving.following.detectors import Detectors
from serving.history.asked import AnySource, Kept, now
from serving.history.database import Database
from serving.history.queries import AUDIT
from serving.history.tables import ANOMALY, LATE, audit, sources, verdicts
from serving.history.views import MILLISECOND, entry_of, moment
from serving.keys.held import HeldKeys
from serving.keys.key import Record
from serving.threshold.in_force import InForce, in_force
from serving.verdicts.openapi import problems

router = APIRouter(prefix="/api", tags=["alarms"])

LOOK_SECONDS = 1.0
QUIET_LOOKS = 15
"""After so many looks without news a `hello` keeps proxies from closing the connection, and readers
from doubting it."""
MOST_ROWS = 5000
MOST_STEPS = 1000
"""Who has missed more is told to load its page's data anew."""
RETRY = b"retry: 2000\n\n"
_ending = threading.Event()
_told_of_it = threading.Event()
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def end_with_the_process() -> None:
    """Let streams end at the signal that ends the process, which would wait for them in vain: from
    the start on, and at the latest from the first stream on."""
    if _told_of_it.is_set() or threading.current_thread() is not threading.main_thread():
        return  # as in tests; signals are the main thread's
    _told_of_it.set()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def end(number: int, frame: FrameType | None, before: Any = before) -> None:
            _ending.set()
            if callable(before):
                before(number, frame)

        signal.signal(number, end)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has read."""

    step: int
    row: int

    def __str__(self) -> str:
        return f"{self.step}.{self.row}"


def place_of(told: str | None) -> Place | None:
    """The place in an event's id; None for what is none."""
    found = re.fullmatch(r"(\d{1,18})\.(\d{1,18})", told or "")
    return None if found is None else Place(int(found[1]), int(found[2]))


@router.get(
    "/events",
    summary="What happens, as it happens",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "Events `hello`, `alarm`, `rows`, `threshold` and `reset`; data is JSON",
        },
        **problems(422, 500, 503),
    },
)
async def events(
    request: Request,
    history: Kept,
    source: AnySource = None,
    last: Annotated[str | None, Query(description="As Last-Event-ID, for the first time")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """`alarm`: a step of any alarm. `rows`: new rows of each source about once a second, with the
    sensors' values of the `source` asked for. `threshold`: what is in force, first and whenever it
    or a decision about it is new. `reset`: too much was missed to be told again, or it was of
    another database. The stream ends within seconds of its key."""
    end_with_the_process()
    place = place_of(last_event_id) or place_of(last)
    newest = await asyncio.to_thread(_newest, history.database)
    stream = _stream(request, history.database, source, place, newest)
    return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)


async def _stream(
    request: Request, database: Database, source: str | None, place: Place | None, newest: Place
) -> AsyncIterator[bytes]:
    # A place beyond the newest is of another database: what the reader has is, too.
    other = place is not None and (place.step > newest.step or place.row > newest.row)
    place = newest if place is None or other else place
    yield RETRY + _event("reset" if other else "hello", place, _time())
    quiet = 0
    told: InForce | None = None
    detectors: Detectors = request.app.state.detectors
    keys: HeldKeys = request.app.state.keys
    key: Record | None = request.state.key
    while keys.holds(key) and not (_ending.is_set() or await request.is_disconnected()):
        try:
            found = await asyncio.to_thread(_look, database, source, place)
        except HistoryUnavailable:
            found = []  # it comes back, and then everything is told
        for name, place, data in found:
            yield _event(name, place, data)
        if (served := detectors.current) is not None:
            if (news := in_force(served)) != told:
                yield _event("threshold", place, news.model_dump(mode="json"))
            told = news
        quiet = 0 if found else quiet + 1
        if quiet >= QUIET_LOOKS:
            quiet = 0
            yield _event("hello", place, _time())
        await asyncio.sleep(LOOK_SECONDS)


def _time() -> dict[str, datetime]:
    return {"now": moment(now())}


def _event(name: str, place: Place, data: Any) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        str(place).encode(),
        name.encode(),
        msgspec.json.encode(data),
    )


def _newest(database: Database) -> Place:
    with database.read() as connection:
        return _newest_of(connection)


def _newest_of(connection: Connection) -> Place:
    step = connection.execute(select(func.max(audit.c.id))).scalar()
    row = connection.execute(select(func.max(verdicts.c.id))).scalar()
    return Place(step or 0, row or 0)


def _look(database: Database, source: str | None, place: Place) -> list[tuple[str, Place, Any]]:
    """The events since `place`, each with the place behind it."""
    with database.read() as connection:
        newest = _newest_of(connection)
        if newest == place:
            return []
        if newest.step - place.step > MOST_STEPS or newest.row - place.row > MOST_ROWS:
            return [("reset", newest, _time())]
        steps = connection.execute(AUDIT.where(audit.c.id > place.step).order_by(audit.c.id)).all()
        rows = _rows(connection, source, place.row) if newest.row > place.row else []
    told: list[tuple[str, Place, Any]] = [
        ("alarm", Place(row.id, place.row), entry_of(row).model_dump(mode="json")) for row in steps
    ]
    # Places only move on once all of a look is told, or the rows of a second source would be lost.
    told += [("rows", Place(newest.step, place.row), data) for data in rows]
    name, _, data = told.pop() if told else ("hello", place, _time())
    return [*told, (name, newest, data)]


def _rows(connection: Connection, source: str | None, after: int) -> list[dict[str, Any]]:
    c = verdicts.c
    query = (
        select(sources.c.name, c.id, c.time, c.score, c.flags, c["values"])
        .join(sources, sources.c.id == c.source_id)
        .where(c.id > after)
        .order_by(c.id)
    )
    found: dict[str, dict[str, Any]] = {}
    for name, row_id, time, score, flags, values in connection.execute(query):
        if flags & LATE:
            continue
        wanted = name == source
        told = found.setdefault(
            name,
            {
                "source": name,
                "id": [],
                "time": [],
                "score": [],
                "anomaly": [],
                "values": [] if wanted else None,
            },
        )
        told["id"].append(row_id)
        told["time"].append(time // MILLISECOND)
        told["score"].append(score)
        told["anomaly"].append(flags & ANOMALY)
        if wanted:
            told["values"].append(msgspec.Raw(values.encode()))
    return list(found.values())
