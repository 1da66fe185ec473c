"""GET /model: the contract, the threshold, and where the served model comes from."""

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel

from serving.following.detectors import Served
from serving.threshold.evaluated import TAG as LABELLED_SCORES
from serving.verdicts.openapi import Override, problems
from serving.verdicts.scoring import Scoring

HISTOGRAM_BINS = 50

router = APIRouter(tags=["model"])


class SensorView(BaseModel):
    """One measured channel; beyond `low` or `high` a reading is always an anomaly."""

    name: str
    unit: str
    low: float | None
    high: float | None


class ContractView(BaseModel):
    """What a window is: `window_length` consecutive rows of these sensors, in this order, and
    whether values may be missing (`missing`: impute or reject), up to which share."""

    window_length: int
    sensors: list[SensorView]
    missing: str
    max_missing_share: float


class ThresholdView(BaseModel):
    """The score above which the verdict is `anomaly`, the rule that set it and what it promises.

    `in_effect` is the rule that a rule which chooses has taken, and `reason` says why; `details`
    are the figures behind the value. Where a person set it the rule is `chosen`, `override` says
    who it was, and `calibrated` is what the model came with."""

    value: float
    calibrated: float
    override: Override | None
    rule: str
    in_effect: str
    reason: str
    false_alarm_rate: float | None
    guarantee: str
    warning: str
    details: dict[str, float | str]
    calibration_rows: int


class HistogramView(BaseModel):
    """Scores of the calibration set: `counts[i]` of them lie between `edges[i]` and the next."""

    edges: list[float]
    counts: list[int]


class ModelView(BaseModel):
    """The served model; `tags` lead back to data, commit and run."""

    name: str
    version: str
    bundle: str
    source: str
    since: str
    tags: dict[str, str]
    contract: ContractView
    scaler: str
    scorer: str
    threshold: ThresholdView
    calibration: HistogramView
    example: list[list[float]]


@router.get(
    "/model",
    summary="What is served, and where does it come from?",
    responses=problems(503),
)
def model(request: Request) -> ModelView:
    """The data contract, the threshold with its rule, the served version and its lineage."""
    scoring: Scoring = request.app.state.scoring
    return view(scoring.held())


def view(served: Served) -> ModelView:
    """What GET /model says of `served`."""
    detector = served.detector
    counts, edges = np.histogram(detector.calibration.scores, HISTOGRAM_BINS)
    threshold = detector.threshold
    return ModelView(
        name=served.name,
        version=served.version,
        bundle=served.bundle.hash,
        source=served.source,
        since=served.since,
        tags={name: value for name, value in served.tags.items() if name != LABELLED_SCORES},
        contract=ContractView.model_validate(detector.contract.to_dict()),
        scaler=detector.scaler.kind,
        scorer=detector.scorer.kind,
        threshold=ThresholdView(
            value=threshold.value,
            calibrated=served.calibrated,
            override=Override.of(served.change),
            rule=threshold.kind,
            in_effect=threshold.in_effect,
            reason=threshold.reason,
            false_alarm_rate=threshold.false_alarm_rate,
            guarantee=threshold.guarantee,
            warning=threshold.warning,
            details=threshold.details,
            calibration_rows=threshold.calibration_rows,
        ),
        calibration=HistogramView(edges=edges.tolist(), counts=counts.tolist()),
        example=served.bundle.example.tolist(),
    )
