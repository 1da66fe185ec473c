"""The history over HTTP: sources, one source's series, downloads."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from serving.history import queries
from serving.history.asked import End, Kept, SourceName, Start, now, span
from serving.history.expected import expected
from serving.history.export import Exported, Rows
from serving.history.series import Resolution, series
from serving.history.table_file import FILE, Format, as_file
from serving.history.views import Expected, Series, Sources, moment
from serving.verdicts.openapi import problems
from serving.verdicts.scoring import Scoring

router = APIRouter(prefix="/api", tags=["history"])

HOUR_SECONDS, DAY_SECONDS = 3600, 86_400


@router.get("/sources", summary="Every source, loudest first", responses=problems(500, 503))
def sources(history: Kept) -> Sources:
    """How each source is, since when, and its last hour in minutes."""
    moment_now = now()
    with history.database.read() as connection:
        found = queries.overview(connection, history.rules, moment_now)
    return Sources(now=moment(moment_now), sources=found)


@router.get("/series", summary="One source over a time", responses=problems(404, 422, 500, 503))
def one_series(
    history: Kept,
    source: SourceName,
    start: Start = None,
    end: End = None,
    resolution: Resolution | Literal["auto"] = "auto",
    points: Annotated[int, Query(ge=1, le=20_000, description="For `auto`: about so many")] = 2000,
) -> Series:
    """Scores, values and alarms of the last hour, or of the time asked for.

    `auto` shows rows where there are few, and otherwise minutes, hours or days. What the model
    expected, and each sensor's share, are kept of anomalies; see `/api/expected` for other rows.
    """
    since, until = span(start, end, HOUR_SECONDS)
    with history.database.read() as connection:
        return series(connection, source, since, until, resolution, points)


@router.get(
    "/expected", summary="What the model expects of rows", responses=problems(404, 422, 500, 503)
)
def expected_values(
    request: Request,
    history: Kept,
    source: SourceName,
    start: Start = None,
    end: End = None,
    points: Annotated[int, Query(ge=1, le=5000, description="About so many rows")] = 2000,
) -> Expected:
    """Of the rows of the last hour, or of the time asked for; of more than `points` every so many.

    They are rebuilt now, by the model that serves now: what it said of an anomaly when that was
    judged is in `/api/series`. Of windows of several rows the earlier ones are taken from the
    history, and nothing is said where those were not the ones that were judged.
    """
    scoring: Scoring = request.app.state.scoring
    served = scoring.held()
    since, until = span(start, end, HOUR_SECONDS)
    with history.database.read() as connection:
        return expected(connection, served, source, since, until, points)


@router.get(
    "/export",
    summary="Rows as a file",
    response_class=StreamingResponse,
    responses={200: FILE, **problems(404, 415, 422, 500, 503)},
)
def export(
    history: Kept,
    source: SourceName,
    start: Start = None,
    end: End = None,
    what: Annotated[
        Exported,
        Query(
            description="verdicts: every row that is kept; labels: rows of true and false alarms"
        ),
    ] = "verdicts",
    format: Annotated[Format, Query(description="parquet needs the `arrow` extra")] = "csv",
) -> StreamingResponse:
    """The last day, or the time asked for; labels without a time are all there are.

    A labelled row has `label` 1 for an anomaly and 0 for a normal one, for training.
    """
    since, until = span(start, end, 100 * 365 * DAY_SECONDS if what == "labels" else DAY_SECONDS)
    rows = Rows(history.database, source, since, until, what)
    return as_file(rows, f"{source}-{what}", format)
