"""What /openapi.json says of the routes that are plain ASGI, and of errors.

The functions here never run: the routes that answer come before them. They declare the same paths,
so that the documentation is made by the same means as everything else's.
"""

import copy
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from serving.access import needed
from serving.errors import MEDIA_TYPE
from serving.threshold.change import Change
from serving.verdicts.score import LONGEST_SOURCE, MOST_PROTOTYPES, override

REASONS = {
    400: "The body is not what its media type says",
    401: "No key, or none that holds",
    403: "A key without the right to it, or a request that another site has sent",
    404: "A source, or an alarm, that the history does not know",
    406: "An answer in none of the formats that `Accept` names",
    409: "An action that the state of the alarm does not allow",
    408: "A body that did not come in time",
    413: "More bytes than are read",
    415: "A media type that is not read here",
    429: "More requests in a minute than the key may send",
    422: "Values that cannot be scored; `errors` names each",
    500: "The service failed",
    503: "No model is ready",
    507: "The disk takes no more of a large batch",
}
SECURITY_SCHEMES = {
    "Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "kz_ID_SECRET"},
}
PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
CSV_ROWS = "timestamp,vibration,current,sound\n2026-01-31T08:00:00+09:00,1.2,0.9,1.1\n"
NDJSON_ROWS = '[1.2,0.9,1.1]\n{"vibration":1,"current":2,"sound":3}\n'
NDJSON_VERDICT = '{"score":0.7162,"status":"normal"}\n'
BINARY: dict[str, Any] = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in ("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")
}

Row = list[float | None] | dict[str, float | None]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProblemView(_Exact):
    """One thing that is wrong; `row` counts from 0."""

    detail: str
    sensor: str | None
    row: int | None


class ProblemDocument(_Exact):
    """A problem document of RFC 9457."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    request_id: str
    errors: Annotated[list[ProblemView], Field(min_length=1)] = []


class ScoreBody(_Exact):
    """One row, in the order of the contract or keyed by sensor name; a list of rows for a windowed
    model. `null` is a missing value."""

    values: Row | list[Row] = Field(examples=[[1.2, 0.9, 1.1]])
    source: Annotated[
        str | None,
        Field(min_length=1, max_length=LONGEST_SOURCE, description="What sent it, as `press-01`"),
    ] = None
    timestamp: Annotated[datetime | None, Field(description="RFC 3339, with its zone")] = None


class Verdict(_Exact):
    """The score, higher is more anomalous, and what the threshold makes of it."""

    score: Annotated[float, Field(ge=0)]
    status: Literal["normal", "anomaly"]


class Contribution(_Exact):
    """A sensor's share of the score, its value (null: missing) and the value that the others led to
    expect."""

    share: Annotated[float, Field(ge=0, le=1)]
    value: float | None
    expected: float
    unit: str


class DataQuality(_Exact):
    """A sensor with a value beyond its instrument's limits, or with missing ones (`value` is null
    then), anywhere in the window."""

    kind: Literal["missing", "out_of_range"]
    sensor: str
    value: float | None
    low: float | None
    high: float | None
    detail: str


class NearestNormal(_Exact):
    """A normal window of training, as its last row, and how far the window that was scored is from
    it: a root mean square over the values, in scaled units."""

    values: Annotated[dict[str, float], Field(description="By sensor name")]
    distance: Annotated[float, Field(ge=0)]


class Answered(_Exact):
    """The model that answered."""

    name: str
    version: str
    bundle: str


class Override(_Exact):
    """Who set the threshold that is in force, in the place of the calibrated one."""

    calibrated: float
    who: str
    why: str
    at: datetime

    @classmethod
    def of(cls, change: Change | None) -> Self | None:
        """What is said of a change that is in force."""
        return None if change is None else cls.model_validate(override(change))


class FullVerdict(Verdict):
    """The answer to `?detail=full`."""

    threshold: float
    override: Annotated[
        Override | None, Field(description="Null: the calibrated threshold is in force")
    ]
    p_value: Annotated[float, Field(gt=0, le=1)]
    severity: Annotated[float, Field(ge=0, le=1)]
    contributions: Annotated[dict[str, Contribution], Field(description="By sensor name")]
    data_quality: list[DataQuality]
    model: Answered
    source: str | None
    timestamp: str | None
    nearest_normal: Annotated[
        list[NearestNormal],
        Field(
            max_length=MOST_PROTOTYPES,
            description="Only where `prototypes` asks for them, nearest first; empty from a model "
            "that keeps none",
        ),
    ] = []


class BatchBody(_Exact):
    """Rows, in the order of the contract or keyed by sensor name; `null` is a missing value."""

    instances: list[Row] = Field(examples=[[[1.2, 0.9, 1.1], [1, 2, 3]]])


class BatchVerdicts(_Exact):
    """In the order sent; null for the first rows of a windowed model."""

    scores: list[float | None]
    statuses: list[Literal["normal", "anomaly"] | None]


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares of the errors it answers."""
    return {code: {"model": ProblemDocument, "description": REASONS[code]} for code in codes}


Keep = Annotated[
    Literal["true", "false"],
    Query(
        description="false: to try something out. It is judged, and leaves no trace in history and "
        "alarms"
    ),
]
router = APIRouter(tags=["score"])
_NAMED = {
    "X-Model-Name": {"schema": {"type": "string"}, "description": "The model that answered"},
    "X-Model-Version": {"schema": {"type": "string"}, "description": "Its version"},
    "X-Request-ID": {"schema": {"type": "string"}, "description": "The request's id"},
    "X-Threshold-Override": {
        "schema": {"type": "number"},
        "description": "The threshold that an operator set, while it is in force",
    },
}


@router.post(
    "/anomaly",
    summary="Score one row or window",
    response_model=Verdict | FullVerdict,
    responses={200: {"headers": _NAMED}, **problems(400, 408, 413, 415, 422, 500, 503)},
)
def score(
    body: ScoreBody,
    detail: Annotated[Literal["brief", "full"], Query()] = "brief",
    prototypes: Annotated[
        int,
        Query(
            ge=0,
            le=MOST_PROTOTYPES,
            description="With `detail=full`: how many of the nearest normal windows to show",
        ),
    ] = 0,
    keep: Keep = "true",
) -> None:
    """`score` and `status`, and with `?detail=full` everything there is to say.

    Missing values are filled in from the others as far as the model's contract allows; `detail`
    lists them under `data_quality`.
    """


@router.post(
    "/anomaly/batch",
    summary="Score many rows",
    response_model=BatchVerdicts,
    responses={
        200: {
            "headers": _NAMED,
            "content": {
                "text/csv": {"schema": {"type": "string"}, "example": "score,status\r\n"},
                "application/x-ndjson": {"schema": {"type": "string"}, "example": NDJSON_VERDICT},
                **BINARY,
            },
        },
        **problems(400, 406, 408, 413, 415, 422, 500, 503, 507),
    },
    openapi_extra={
        "requestBody": {
            "content": {
                "text/csv": {"schema": {"type": "string"}, "example": CSV_ROWS},
                "application/x-ndjson": {"schema": {"type": "string"}, "example": NDJSON_ROWS},
                **BINARY,
            }
        }
    },
)
def batch(body: BatchBody, keep: Keep = "true") -> None:
    """Rows as JSON, CSV with a header row, NDJSON (a row a line), an Arrow stream or Parquet; the
    answer in the format that `Accept` prefers. Arrow and Parquet need the service's extra `arrow`.

    A value that is null, or in a table NaN or an empty cell, is missing; it is filled in as far as
    the model allows.
    Columns that are no sensors are ignored. For a windowed model the rows are consecutive, and its
    first rows, which have too few before them, get null.

    The answer begins when the last row has been read. All formats but JSON are read piece by piece.
    """


def install(app: FastAPI) -> None:
    """Let `app` say that its errors are problem documents, and which key opens what."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = FastAPI.openapi(app)
            document["components"]["securitySchemes"] = SECURITY_SCHEMES
            document["security"] = [{name: []} for name in SECURITY_SCHEMES]
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _secure(operation, needed(method.upper(), path))
                    _read(operation)
                    _retype(operation["responses"])
            for name in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(name, None)
        return FastAPI.openapi(app)

    app.openapi = openapi  # type: ignore[method-assign]


def _secure(operation: dict[str, Any], scope: str | None) -> None:
    """Declare what Access answers, written as the operation's other errors are."""
    if scope is None:
        operation["security"] = []
        return
    responses = operation["responses"]
    alike: dict[str, Any] = next(
        (responses[code] for code in ("503", "422", "404") if code in responses), {}
    )
    content = alike.get("content") or {"application/json": {"schema": PROBLEM}}
    for code, header in ((401, "WWW-Authenticate"), (403, None), (429, "Retry-After")):
        told = {} if header is None else {"headers": {header: {"schema": {"type": "string"}}}}
        known = {"description": REASONS[code], "content": copy.deepcopy(content), **told}
        responses.setdefault(str(code), known)
    if scope != "score":
        responses["403"]["description"] += f"; the scope {scope} is needed"


def _read(operation: dict[str, Any]) -> None:
    """Declare what is answered to a body that cannot be read, written as its other errors are."""
    responses = operation["responses"]
    if "requestBody" in operation and "422" in responses:
        for code in (400, 408, 413):
            content = copy.deepcopy(responses["422"]["content"])
            known = {"description": REASONS[code], "content": content}
            responses.setdefault(str(code), known)


def _retype(responses: dict[str, Any]) -> None:
    for code, response in list(responses.items()):
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref", "").endswith("/ProblemDocument"):
            content[MEDIA_TYPE] = content.pop("application/json")
        elif schema.get("$ref", "").endswith("/HTTPValidationError"):
            del responses[code]  # FastAPI adds it wherever something is read; it is never answered
