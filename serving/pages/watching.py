"""The pages for watching machines: every source, and one.

They are frames that scripts fill from the API: what they show is the API's, live, and the same.
"""

import json
import shlex

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import exists, select

from serving.errors import HistoryUnavailable
from serving.following.detectors import Detectors, Served
from serving.history.service import History
from serving.history.table_file import has_parquet
from serving.history.tables import sources
from serving.pages.charts import own_styles
from serving.pages.frame import asked_locale, page, script_data
from serving.pages.trying import waiting
from serving.pages.view import example_rows

EXAMPLE_SOURCE = "press-1"

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
def overview(request: Request) -> Response:
    """Every source, loudest first; without a model and without a source, a page that waits."""
    locale = asked_locale(request)
    detectors: Detectors = request.app.state.detectors
    served = detectors.current
    if served is None and not _known(request, None):
        return waiting(request, locale, "overview")
    shown = {
        "place": "overview",
        "data": script_data(request, locale),
        "kept": request.app.state.history is not None,
        "first_row": None if served is None else first_row(request, served),
        "no_model": detectors.why_none() if served is None else "",
    }
    return page(request, "overview.html", locale, shown)


@router.get("/sources/{name:path}", response_class=HTMLResponse)
def one_source(request: Request, name: str) -> Response:
    """One source; 404 with a page that says so when it never sent."""
    locale = asked_locale(request)
    name = name or request.query_params.get("name", "")
    root = "../" * (_written(request).partition("/sources/")[2].count("/") + 1)
    known = _known(request, name)
    shown = {
        "root": root,
        "data": script_data(request, locale, root, source=name),
        "name": name,
        "kept": request.app.state.history is not None,
        "known": known,
        "own_styles": own_styles(),
        "parquet": has_parquet(),
    }
    return page(request, "source.html", locale, shown, 200 if known else 404)


def first_row(request: Request, served: Served) -> str:
    """A command line that sends one normal row, or window, of a new source."""
    rows = example_rows(served)
    values = rows[0] if len(rows) == 1 else rows
    body = json.dumps({"source": EXAMPLE_SOURCE, "values": values}, ensure_ascii=False)
    key = "" if getattr(request.state, "key", None) is None else " -H 'X-API-Key: kz_…'"
    return (
        f"curl {request.base_url}anomaly{key} -H 'Content-Type: application/json'"
        f" -d {shlex.quote(body)}"
    )


def _known(request: Request, name: str | None) -> bool:
    """Whether the source, or any, has ever sent; taken for true while the database is away."""
    history: History | None = request.app.state.history
    if history is None:
        return False
    query = select(sources.c.id)
    query = query.where(sources.c.rows > 0 if name is None else sources.c.name == name)
    try:
        with history.database.read() as connection:
            return bool(connection.execute(select(exists(query))).scalar())
    except HistoryUnavailable:
        return True


def _written(request: Request) -> str:
    """The path as the browser wrote it: a slash within a source's name is %2F there."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")
