"""GET /alarms: the alarms there are, and those there were, as its address asks for them.

Scripts keep it live. Without them it is a form and the same lists, as they are when it is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from serving.alarms.rules import KINDS
from serving.errors import HistoryUnavailable
from serving.history import queries
from serving.history.asked import ANONYMOUS
from serving.history.occurrences import Filters, Listed, Page, Place, page_of_occurrences
from serving.history.queries import URGENCY
from serving.history.service import History
from serving.history.table_file import has_parquet
from serving.history.views import Alarm, Occurrence, written
from serving.pages.frame import asked_locale, page, script_data

CHOICES: Mapping[str, tuple[str, ...]] = {
    "kind": KINDS,
    "priority": URGENCY,
    "state": get_args(Listed),
    "acknowledged": ("false", "true"),
    "label": ("true", "false", "none"),
}
"""The filters that are chosen from a list, in their order on the page."""
TIMES = ("start", "end")
FIELDS = ("source", *CHOICES, *TIMES)
MINUTES = 16
"""Characters of a time to the minute, as a browser's field for a time has them."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asked:
    """What an address asks for."""

    filters: Filters
    given: Mapping[str, str]
    """The filters as they stand in an address; times in UTC."""
    unknown: Mapping[str, str]
    """What cannot be filtered by, and is left out."""
    before: Place | None
    after: Place | None

    def entry(self, name: str) -> str:
        """A filter as its field on the form has it."""
        text = self.given.get(name, "")
        return text.removesuffix("Z")[:MINUTES] if name in TIMES else text

    def address(self, path: str = "alarms", **more: object) -> str:
        """`path` with these filters, and with what `more` names, where it is anything."""
        named = {name: str(value) for name, value in more.items() if value is not None}
        query = urlencode({**self.given, **named})
        return f"{path}?{query}" if query else path


@dataclass(frozen=True)
class Lists:
    """What a page without scripts shows."""

    current: list[Alarm]
    past: Page
    now: datetime

    def lasted(self, one: Occurrence) -> str:
        """For how long, as hours, minutes and seconds."""
        seconds = int(((one.ended or self.now) - one.began).total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


@router.get("/alarms", response_class=HTMLResponse)
def alarms_page(request: Request) -> Response:
    """What cannot be asked for is left out, and the page says so."""
    locale = asked_locale(request)
    asked = asked_of(request.query_params)
    history: History | None = request.app.state.history
    shown = {
        "place": "alarms",
        "data": script_data(request, locale),
        "kept": history is not None,
        "asked": asked,
        "choices": CHOICES,
        "anonymous": ANONYMOUS,
        "lists": None if history is None else _lists(history, asked),
        "parquet": has_parquet(),
    }
    return page(request, "alarms.html", locale, shown)


def asked_of(query: Mapping[str, str]) -> Asked:
    """What the query of an address asks for; a time without a zone is one of UTC."""
    told = {name: query[name].strip() for name in FIELDS if query.get(name, "").strip()}
    times = {name: _utc(told[name]) for name in TIMES if name in told}
    wrong = {name for name, time in times.items() if time is None}
    try:
        filters = Filters.model_validate(told | times)
    except ValidationError as error:
        wrong |= {str(one["loc"][0]) for one in error.errors()}
        known = {name: value for name, value in (told | times).items() if name not in wrong}
        filters = Filters.model_validate(known)
    given = told | {name: written(time) for name, time in times.items() if time is not None}
    before, after = (Place.told(query.get(name)) for name in ("before", "after"))
    return Asked(
        filters,
        {name: text for name, text in given.items() if name not in wrong},
        {name: told[name] for name in told if name in wrong},
        before,
        None if before else after,
    )


def _utc(text: str) -> datetime | None:
    """None for what is no time, or none that UTC has."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _lists(history: History, asked: Asked) -> Lists | None:
    """None while the database is away: the scripts say so, and come back with it."""
    try:
        with history.database.read() as connection:
            current = queries.current_alarms(connection, history.rules)
            past = page_of_occurrences(
                connection, asked.filters, before=asked.before, after=asked.after
            )
    except HistoryUnavailable:
        return None
    there = [alarm for alarm in current if alarm.state != "normal"]
    return Lists(there, past, datetime.now(UTC))
