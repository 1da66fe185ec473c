"""GET /health/live and GET /health/ready: the first that a service has to answer.

`serving.openapi_health` documents them.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from serving.companion import Companion
from serving.errors import RETRY_SECONDS
from serving.following.cache import Status
from serving.following.detectors import Detectors, Served
from serving.keys.held import HeldKeys

LIVE, READY = "/health/live", "/health/ready"

router = APIRouter(include_in_schema=False)


@router.get(LIVE)
async def live() -> JSONResponse:
    """200 as long as the process answers."""
    return JSONResponse({"status": "live"})


@router.get(READY)
def ready(request: Request) -> JSONResponse:
    """200 when a row can be scored, 503 when not."""
    detectors: Detectors = request.app.state.detectors
    follower: Companion = request.app.state.follower
    keys: HeldKeys = request.app.state.keys
    served = detectors.held()
    status = detectors.cache.status()
    answer = {
        "status": "not ready" if served is None else "ready",
        "reason": detectors.why_none() if served is None else None,
        "model": None if served is None else _model(served),
        "registry": "unknown" if status is None else status.registry,
        "notes": _notes(detectors, follower, keys, status)
        + _attendant(request.app.state.attendant),
    }
    headers = {"Cache-Control": "no-store"}
    if served is None:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return JSONResponse(answer, 503 if served is None else 200, headers)


def _model(served: Served) -> dict[str, Any]:
    return {
        "name": served.name,
        "version": served.version,
        "bundle": served.bundle.hash,
        "source": served.source,
        "since": served.since,
    }


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
