"""What /openapi.json says of the service's health, which `serving.health` answers.

As in `serving.verdicts.openapi`, the functions here never run. The models take longer to make than
the answers take to be ready, so they come later.
"""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from serving.health import LIVE, READY

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class ReadyModel(BaseModel):
    """What is served."""

    name: str
    version: str
    bundle: str
    source: str
    since: str


class Ready(BaseModel):
    """Whether a row can be scored now; `notes` is what people should know although it can.

    Where the service has keys, who sends none is told the first two alone.
    """

    status: Literal["ready", "not ready"]
    reason: str | None
    model: ReadyModel | None = None
    registry: Literal["reachable", "unreachable", "not used", "unknown"] = "unknown"
    notes: list[str] = []


@router.get(LIVE, summary="Does the process answer?")
def live() -> Live:
    """200 as long as the process answers."""
    return Live()


@router.get(
    READY,
    summary="Can a row be scored now?",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "No row can be scored; `reason` says why"}},
)
def ready() -> None:
    """200 when a row can be scored, 503 when not.

    A registry that cannot be reached, or a version that was refused, leaves the service ready with
    the model it has, and so does a history that cannot be written, although anomalies are then
    answered with 503: `notes` says so.
    """
