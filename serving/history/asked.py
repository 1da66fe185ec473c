"""What every route of history and alarms asks of a request: the history, the moment, who it is."""

import time
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import AwareDatetime

from serving.errors import HistoryUnavailable, invalid
from serving.history.record import LATEST, MICROSECONDS, OLDEST
from serving.history.service import History
from serving.history.views import microseconds

ANONYMOUS = "anonymous"
"""Who acts in a service without keys."""

SourceName = Annotated[str, Query(min_length=1, max_length=200, description="A source's name")]
AnySource = Annotated[str | None, Query(min_length=1, max_length=200, description="A source")]
Start = Annotated[AwareDatetime | None, Query(description="RFC 3339, with its zone")]
End = Annotated[AwareDatetime | None, Query(description="RFC 3339; now, if it is left out")]
LARGEST_ID = 2**63 - 1
"""Of a database's integers."""
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]


def _history(request: Request) -> History:
    history: History | None = request.app.state.history
    if history is None:
        raise HistoryUnavailable("this service keeps no history (KIZASHI_DATABASE_URL is none)")
    return history


Kept = Annotated[History, Depends(_history)]


def now() -> int:
    """This moment in microseconds."""
    return round(time.time() * MICROSECONDS)


def who(request: Request) -> str:
    """The name of the key that a request came with."""
    key = request.scope.get("state", {}).get("key")
    return ANONYMOUS if key is None else str(key.name)


def span(start: AwareDatetime | None, end: AwareDatetime | None, seconds: int) -> tuple[int, int]:
    """From when to when, in microseconds: the last `seconds` unless said otherwise; raises
    InvalidRow for a span that ends before it starts."""
    until = now() if end is None else within(end)
    since = until - seconds * MICROSECONDS if start is None else within(start)
    if since > until:
        raise invalid(f"start is {start} and end is {end}; start must not be later")
    return since, until


def within(time: AwareDatetime) -> int:
    """A time that a client names, cut to those that rows can have."""
    return min(max(microseconds(time), OLDEST), LATEST)


def optional(time: AwareDatetime | None) -> int | None:
    """`within`, where there is a time."""
    return None if time is None else within(time)
