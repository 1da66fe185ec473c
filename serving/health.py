"""GET /health/live and GET /health/ready."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from serving.cache import Status
from serving.companion import Companion
from serving.detectors import Detectors, Served
from serving.errors import RETRY_SECONDS
from serving.keys.held import HeldKeys

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
    """Whether a row can be scored now; `notes` is what people should know although it can."""

    status: Literal["ready", "not ready"]
    reason: str | None
    model: ReadyModel | None
    registry: Literal["reachable", "unreachable", "not used", "unknown"]
    notes: list[str]


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Live:
    """200 as long as the process answers."""
    return Live()


@router.get(
    "/health/ready",
    summary="Can a row be scored now?",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "No row can be scored; `reason` says why"}},
)
def ready(request: Request) -> JSONResponse:
    """200 when a row can be scored, 503 when not.

    A registry that cannot be reached, or a version that was refused, leaves the service ready with
    the model it has; `notes` says so.
    """
    detectors: Detectors = request.app.state.detectors
    follower: Companion = request.app.state.follower
    keys: HeldKeys = request.app.state.keys
    served = detectors.held()
    status = detectors.cache.status()
    answer = Ready(
        status="not ready" if served is None else "ready",
        reason=detectors.why_none() if served is None else None,
        model=None if served is None else _model(served),
        registry="unknown" if status is None else status.registry,
        notes=_notes(detectors, follower, keys, status) + _attendant(request.app.state.attendant),
    )
    headers = {"Cache-Control": "no-store"}
    if served is None:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return JSONResponse(answer.model_dump(), 503 if served is None else 200, headers)


def _model(served: Served) -> ReadyModel:
    fields: dict[str, Any] = {
        name: getattr(served, name) for name in ("name", "version", "source", "since")
    }
    return ReadyModel(bundle=served.bundle.hash, **fields)


def _attendant(attendant: Companion | None) -> list[str]:
    if attendant is None or attendant.problem is None:
        return []
    return [f"notifications are not sent: {attendant.problem}"]


UNREACHABLE = "the registry cannot be reached"


def _notes(
    detectors: Detectors, follower: Companion, keys: HeldKeys, status: Status | None
) -> list[str]:
    notes = []
    if detectors.problem is not None:
        notes.append(f"this worker cannot load what it should serve: {detectors.problem}")
    if follower.problem is not None:
        notes.append(f"nothing follows the model: {follower.problem}")
    if keys.problem is not None:
        notes.append(keys.problem)
    if status is None:
        return notes
    if status.registry == "unreachable":
        held = detectors.current is not None
        notes.append(f"{UNREACHABLE}; the last good bundle is served" if held else UNREACHABLE)
    if status.problem is not None:
        notes.append(status.problem)
    if status.refused is not None:
        notes.append(f"version {status.refused.version} was refused: {status.refused.reason}")
    return notes + status.notes
