"""MLflow's scoring protocol: its small operations, and what is documented of `/invocations`, which
`serving.protocols.mlflow_scoring` answers before it gets here."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field

from serving.protocols.mlflow_scoring import INVOCATIONS, mlflow_version
from serving.protocols.openapi import NAMED, Exact, Open, failures
from serving.verdicts.openapi import CSV_ROWS, Row
from serving.verdicts.scoring import Scoring

TEXT = {"text/plain": {"schema": {"type": "string"}}}
Cell = float | None


class ScoringError(Exact):
    """What went wrong, with MLflow's code for it."""

    error_code: str
    message: str


class SplitTable(Exact):
    """A table by columns' names and rows; columns that are no sensors are ignored."""

    columns: list[str] | None = None
    data: list[list[Any]]
    index: list[Any] | None = None


class Split(Open):
    """`pandas.DataFrame.to_dict(orient="split")`."""

    dataframe_split: SplitTable = Field(
        examples=[{"columns": ["vibration", "current", "sound"], "data": [[1.2, 0.9, 1.1]]}]
    )
    params: dict[str, Any] | None = None


class Records(Open):
    """`pandas.DataFrame.to_dict(orient="records")`."""

    dataframe_records: list[dict[str, Any]]
    params: dict[str, Any] | None = None


class Instances(Open):
    """Rows, in the order of the contract or keyed by sensor name; or columns by sensor name."""

    instances: list[Row] | dict[str, list[Cell] | Cell]
    params: dict[str, Any] | None = None


class Inputs(Open):
    """Columns by sensor name; or rows."""

    inputs: dict[str, list[Cell] | Cell] | list[Row]
    params: dict[str, Any] | None = None


class Prediction(Exact):
    """The verdict on one row; null for the first rows of a windowed model."""

    score: Annotated[float, Field(ge=0)] | None
    status: Literal["normal", "anomaly"] | None


class Predictions(Exact):
    """One for each row, in the order sent."""

    predictions: list[Prediction]


router = APIRouter(tags=["MLflow and SageMaker"])
_PING: dict[str, Any] = {
    "response_class": PlainTextResponse,
    "responses": {404: {"content": TEXT, "description": "No model is ready"}},
}


@router.head("/ping", include_in_schema=False)
@router.get("/ping", summary="Can a row be scored now?", **_PING)
async def ping(request: Request) -> PlainTextResponse:
    """200 and an empty line when a row can be scored, 404 when no model is ready."""
    scoring: Scoring = request.app.state.scoring
    return PlainTextResponse("\n", 404 if scoring.detectors.held() is None else 200)


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Can a row be scored now?", **_PING)
async def health(request: Request) -> PlainTextResponse:
    """The same as GET /ping; GET /health/ready says more."""
    return await ping(request)


@router.get("/version", summary="Which MLflow?", response_class=PlainTextResponse)
async def mlflow() -> str:
    """The version of MLflow whose protocol this is."""
    return mlflow_version()


@router.post(
    INVOCATIONS,
    summary="Score a table",
    response_model=Predictions,
    responses={
        200: {"headers": NAMED},
        **failures(ScoringError, 400, 401, 403, 408, 413, 415, 429, 500, 503),
    },
    openapi_extra={
        "requestBody": {
            "content": {
                "text/csv": {"schema": {"type": "string"}, "example": CSV_ROWS},
                "application/vnd.apache.parquet": {
                    "schema": {"type": "string", "format": "binary"}
                },
            }
        }
    },
)
def invocations(body: Split | Records | Instances | Inputs) -> None:
    """A table of consecutive rows in one of MLflow's forms: JSON with exactly one of
    `dataframe_split`, `dataframe_records`, `instances` and `inputs`; or CSV with a header row; or
    Parquet, with the extra `arrow`.
    """
