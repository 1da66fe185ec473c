"""GET /metrics."""

from fastapi import APIRouter, Request, Response

from serving.companion import Companion
from serving.following.cache import Cache
from serving.following.detectors import Detectors
from serving.metrics.counts import Counts, Snapshot, Value
from serving.metrics.families import (
    MODEL,
    READY,
    REFUSED,
    REGISTRY,
    SWAPS,
    THRESHOLD_BY_HAND,
)
from serving.metrics.publishing import Publisher
from serving.notify import figures

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="What is measured, for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Every metric, of all workers"}},
)
async def metrics(request: Request) -> Response:
    """Counts, durations and verdicts of every worker of this service, in Prometheus' text format or
    in OpenMetrics, as `Accept` asks."""
    publisher: Publisher = request.app.state.publisher
    content, media_type = await publisher.exposition(request.headers.get("accept", ""))
    headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
    return Response(content, headers=headers)


def of_worker(counts: Counts, detectors: Detectors) -> None:
    """Have `counts` say what this worker serves, and how it came to."""

    def model() -> list[Value]:
        served = detectors.current
        return [] if served is None else [((served.name, served.version, served.bundle.hash), 1.0)]

    counts.read(MODEL, model)

    def by_hand() -> list[Value]:
        served = detectors.current
        return [] if served is None else [((), float(served.change is not None))]

    counts.read(THRESHOLD_BY_HAND, by_hand)
    counts.read(READY, lambda: [((), float(detectors.current is not None))])
    counts.read(
        SWAPS,
        lambda: [
            (("swapped",), float(detectors.swapped)),
            (("failed",), float(detectors.failed)),
        ],
    )


def of_host(cache: Cache, attendant: Companion | None) -> Snapshot:
    """What the follower of this host says, and the process that sends notifications, where there is
    to be one; the same for each of its workers."""
    told = _followed(cache)
    if attendant is None:
        return told
    notified = figures.found(attendant.lock_file.parent)
    return Snapshot(told.counters | notified.counters, {}, told.gauges | notified.gauges)


def _followed(cache: Cache) -> Snapshot:
    status = cache.status()
    if status is None:
        return Snapshot({}, {}, {})
    gauges: dict[str, list[Value]] = {REFUSED.name: [((), float(status.refused is not None))]}
    if status.registry != "not used":
        gauges[REGISTRY.name] = [((), float(status.registry == "reachable"))]
    return Snapshot({SWAPS.name: [(("refused",), float(status.refusals))]}, {}, gauges)
