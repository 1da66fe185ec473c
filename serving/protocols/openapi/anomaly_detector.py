"""What is documented of Azure's detect-last; `serving.protocols.anomaly_detector` answers."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from serving.protocols.anomaly_detector import DETECT_LAST
from serving.protocols.openapi import NAMED, Exact, Open, failures


class DetectorError(Exact):
    """What went wrong; the header x-ms-error-code has the code too."""

    code: str
    message: str


class VariableView(Open):
    """The values of one sensor and when each was measured; null is missing."""

    variable: str
    timestamps: list[str] = Field(examples=[["2026-01-01T00:00:00Z"]], description="ISO 8601")
    values: list[float | None] = Field(examples=[[0.1]])


class DetectLastBody(Open):
    """Every sensor of the model, with at least as many times as its window has rows."""

    variables: list[VariableView]
    topContributorCount: Annotated[int, Field(ge=1)] | None = 10


class VariableStateView(Exact):
    """What was sent of one variable."""

    variable: str
    filledNARatio: Annotated[float, Field(ge=0, le=1)]
    effectiveCount: Annotated[int, Field(ge=0)]
    firstTimestamp: str | None
    lastTimestamp: str | None


class CorrelationChangesView(Exact):
    """Always empty: this model finds which sensor is off, not which correlation changed."""

    changedVariables: list[str]


class InterpretationView(Exact):
    """A sensor's share of the score, the largest first."""

    variable: str
    contributionScore: Annotated[float, Field(ge=0, le=1)]
    correlationChanges: CorrelationChangesView


class AnomalyValueView(Exact):
    """The verdict; `severity` is 0 where there is no anomaly."""

    isAnomaly: bool
    severity: Annotated[float, Field(ge=0, le=1)]
    score: Annotated[float, Field(ge=0)]
    interpretation: list[InterpretationView]


class AnomalyStateView(Exact):
    """The last time that was sent."""

    timestamp: str
    value: AnomalyValueView
    errors: list[DetectorError]


class DetectLastAnswer(Exact):
    """One result, for the last time."""

    variableStates: list[VariableStateView]
    results: list[AnomalyStateView]


router = APIRouter(tags=["Azure Anomaly Detector v1.1"])


@router.post(
    DETECT_LAST,
    summary="Judge the last of several times",
    response_model=DetectLastAnswer,
    responses={
        200: {"headers": NAMED},
        **failures(DetectorError, 400, 401, 403, 404, 408, 413, 415, 429, 500, 503),
    },
)
def detect_last(model: str, body: DetectLastBody) -> None:
    """As Azure Anomaly Detector answers it. `model` is the model's name, or the id that
    `KIZASHI_ANOMALY_DETECTOR_MODEL_ID` names."""
