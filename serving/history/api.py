"""The history over HTTP: sources, one source's series, downloads."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from serving.history import queries
from serving.history.asked import End, Kept, SourceName, Start, now, span
from serving.history.export import EXPORTS, Exported, Format, exported
from serving.history.series import Resolution, series
from serving.history.views import Series, Sources, moment
from serving.openapi import problems

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
    expected, and each sensor's share, are kept of anomalies.
    """
    since, until = span(start, end, HOUR_SECONDS)
    with history.database.read() as connection:
        return series(connection, source, since, until, resolution, points)


@router.get(
    "/export",
    summary="Rows as a file",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {kind: {"schema": {"type": "string"}} for kind in EXPORTS.values()},
            "description": "The file",
        },
        **problems(404, 415, 422, 500, 503),
    },
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
    return exported(history.database, source, since, until, what, format)
