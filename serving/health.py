"""GET /health/live and GET /health/ready: the first that a service has to answer.

`serving.openapi_health` documents them.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import State

from serving.access import Rights
from serving.companion import Companion
from serving.errors import RETRY_SECONDS
from serving.following.cache import Status
from serving.following.detectors import Detectors, Served
from serving.history.service import History
from serving.keys.held import HeldKeys

LIVE, READY = "/health/live", "/health/ready"
METHODS = ["GET", "HEAD"]
NO_MODEL = "no model is ready; who sends a key is told why"
"""What a stranger is told: the reason itself may name files and addresses."""

router = APIRouter(include_in_schema=False)


@router.api_route(LIVE, methods=METHODS)
async def live() -> JSONResponse:
    """200 as long as the process answers."""
    return JSONResponse({"status": "live"})


@router.api_route(READY, methods=METHODS)
def ready(request: Request) -> JSONResponse:
    """200 when a row can be scored, 503 when not; a stranger is told that alone."""
    detectors: Detectors = request.app.state.detectors
    rights: Rights = request.app.state.rights
    served = detectors.held()
    known = rights.knows(request.scope, dict(request.scope["headers"]))
    answer: dict[str, Any] = {
        "status": "not ready" if served is None else "ready",
        "reason": None if served is not None else detectors.why_none() if known else NO_MODEL,
    }
    if known:
        answer |= _told(request.app.state, served)
    headers = {"Cache-Control": "no-store"}
    if served is None:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return JSONResponse(answer, 503 if served is None else 200, headers)


def _told(state: State, served: Served | None) -> dict[str, Any]:
    detectors: Detectors = state.detectors
    status = detectors.cache.status()
    return {
        "model": None if served is None else _model(served),
        "registry": "unknown" if status is None else status.registry,
        "notes": _notes(detectors, state.follower, state.keys, status)
        + _history(state.history)
        + _attendant(state.attendant),
    }


def _model(served: Served) -> dict[str, Any]:
    return {
        "name": served.name,
        "version": served.version,
        "bundle": served.bundle.hash,
        "source": served.source,
        "since": served.since,
    }


def _history(history: History | None) -> list[str]:
    if history is None or history.writer.problem is None:
        return []
    return [f"anomalies are answered with 503, normal rows are not kept: {history.writer.problem}"]


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
