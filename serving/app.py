"""The application as a function of its settings; building it has no effect on anything else."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Scope

from serving import errors, health
from serving.access import Access, Rights, opens_a_page
from serving.companion import Companion, attendant, follower
from serving.errors import Dialects, Failure, Forbidden, Problems, Unauthenticated
from serving.following.cache import Cache
from serving.following.detectors import Detectors
from serving.history.kept import Kept
from serving.history.service import History
from serving.http import security
from serving.http.connections import COUNTS
from serving.http.heads import HeadAsGet
from serving.http.observed import Observed, Templates, protocol_of, routes_of, too_busy
from serving.http.requests import RequestIds
from serving.http.security import SecurityHeaders
from serving.http.slashes import Slashes
from serving.http.whole_bodies import WholeBodies
from serving.keys.held import HeldKeys
from serving.later import AFTER_SECONDS, Later, WaitForLater
from serving.limits import Limits
from serving.metrics.counts import Counts
from serving.metrics.endpoint import of_host, of_worker
from serving.metrics.publishing import Publisher
from serving.settings import Settings
from serving.verdicts.fast_road import PATH, ROAD, FastRoad
from serving.verdicts.one_window import OneWindow
from serving.verdicts.score import ONE_WINDOW_BYTES, ScoreEndpoint
from serving.verdicts.scoring import Scoring

if TYPE_CHECKING:
    from serving.threshold.desk import Desk

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own would ask OpenTelemetry at every request whether anybody listens, which takes a
tenth of the time of a whole POST /anomaly. `GET /metrics` is the service's."""

FIRST_MODEL_SECONDS = 5.0
"""Without a model in the cache the start waits this long for the follower's first word, so that the
first request does not meet a service that is only seconds from its model. Longer would look like a
service that hangs: until the wait is over, nothing answers on its port."""

AGAIN_SECONDS = 5.0
"""So long after it could not, what comes later is tried again."""

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The service for `settings`; what no verdict needs comes later, see `serving.later`.

    `app.state` has `settings` and `detectors`, whose `current` is what this worker serves, or None.
    """
    cache = Cache(settings.cache, settings.key)
    detectors = Detectors(cache, settings.bundle_folder)
    counts = Counts(protocol_of, settings.metrics_sources)
    of_worker(counts, detectors)
    history = History.of(settings)
    keeper = None if history is None else history.observer
    scoring = Scoring(detectors, [counts], keeper)
    dialects = Dialects({})
    keys = HeldKeys(settings.keys_file, wanted="keys_file" in settings.model_fields_set)
    rights = Rights(
        keys,
        Limits(cache.own, settings.workers),
        rate_limit=settings.rate_limit,
        allow_anonymous=settings.allow_anonymous,
        origins=settings.origins,
    )
    app: FastAPI = FastAPIOffline(
        title="Kizashi",
        description="Anomaly detection for manufacturing sensors.",
        servers=[{"url": "./"}],  # where this document is, also below a path of a proxy
        docs_url=None,  # `serving.documentation` has the pages
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        lifespan=_lifespan,
    )
    app.router.default = Slashes(app.router)
    app.state.settings = settings
    app.state.detectors = detectors
    app.state.scoring = scoring
    app.state.history = history
    app.state.dialects = dialects
    app.state.keys = keys
    app.state.rights = rights
    app.state.follower = follower(settings, cache)
    app.state.attendant = attendant(settings, cache)
    app.state.counts = counts
    app.state.publisher = Publisher(
        counts, settings.metrics_folder, lambda: of_host(cache, app.state.attendant)
    )
    errors.install(app, dialects, _failed_page)
    # A layer that is added later stands further out: a request passes them from the bottom up.
    one_window = ScoreEndpoint(scoring, min(ONE_WINDOW_BYTES, settings.max_body_bytes))
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(WholeBodies)
    app.add_middleware(OneWindow, endpoint=one_window)
    if history is not None:
        history.count_in(counts)
        app.add_middleware(Kept)
    app.add_middleware(Access, rights=rights, ask=_ask_to_sign_in)
    app.add_middleware(Problems, dialects=dialects)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=security.CORS_METHODS,
            allow_headers=security.CORS_SENT,
            expose_headers=security.CORS_SHOWN,
        )
    templates = Templates(lambda: [PATH, *routes_of(app)])
    app.add_middleware(
        Observed,
        counts=counts,
        templates=templates,
        busy=Problems(too_busy, dialects),
        limit=settings.max_concurrent,
        seconds=settings.body_timeout_seconds,
        access_log=settings.access_log,
    )
    app.state.later = later = Later(app)
    later.then.append(templates.forget)
    app.add_middleware(WaitForLater, later=later)
    app.add_middleware(RequestIds)
    # The access log has every request, and the fast road tells of none.
    app.state.fast_road = (
        None
        if settings.access_log
        else FastRoad(
            scoring=scoring,
            rights=rights,
            counts=counts,
            body_limit=one_window.limit,
            busy=settings.max_concurrent,
        )
    )
    app.include_router(health.router)

    def openapi() -> dict[str, Any]:
        later.come_now()
        return app.openapi()  # what has come documents itself

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _ask_to_sign_in(scope: Scope, error: Unauthenticated | Forbidden) -> Response:
    from serving.pages import sign_in  # has come: nothing that is answered at once is a page

    return sign_in.ask(scope, error)


def _failed_page(request: Request, failed: Failure) -> Response | None:
    if not opens_a_page(request.scope):
        return None
    from serving.pages import failing

    return failing.failed_page(request, failed)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    detectors: Detectors = app.state.detectors
    following: Companion = app.state.follower
    history: History | None = app.state.history
    later: Later = app.state.later
    await asyncio.to_thread(detectors.refresh)
    if detectors.current is None:
        await asyncio.to_thread(following.ensure)
        await _first_model(detectors, following)
    if history is not None:
        history.start()
        if not detectors.cache.threshold_file.exists():
            # Nobody on this host knows yet whether people decided by which threshold to judge.
            await later.come()
            await asyncio.to_thread(app.state.threshold.look)
    companions = [one for one in (following, app.state.attendant) if one is not None]
    attended = (
        _afterwards(app, companions),
        detectors.watch(),
        app.state.keys.watch(),
        app.state.publisher.attend(),
        *(companion.attend() for companion in companions),
    )
    tasks = [asyncio.create_task(one) for one in attended]
    try:
        yield {ROAD: app.state.fast_road, COUNTS: app.state.counts}  # for the connections
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if history is not None:
            await asyncio.to_thread(history.close)
        for companion in companions:
            await asyncio.to_thread(companion.stop)


async def _afterwards(app: FastAPI, companions: Sequence[Companion]) -> None:
    """What can wait until the service is ready."""
    await asyncio.sleep(AFTER_SECONDS)
    for companion in companions:
        await asyncio.to_thread(companion.ensure)
    await _brought(app.state.later)
    if app.state.history is not None:
        from serving.alarms import events

        events.end_with_the_process()
    desk: Desk = app.state.threshold
    await asyncio.to_thread(desk.look)
    await desk.watch()


async def _brought(later: Later) -> None:
    """Bring in what comes later, however often it cannot come at first: rows are judged without."""
    said = False
    while not later.came:
        try:
            await later.come()
        except Exception:  # a full disk, too many open files: who asks for a page may be luckier
            if not said:
                log.exception("the service cannot answer more than single rows")
            said = True
            await asyncio.sleep(AGAIN_SECONDS)


async def _first_model(detectors: Detectors, following: Companion) -> None:
    """Wait for a model, or for the follower to say that there is none."""
    deadline = time.monotonic() + FIRST_MODEL_SECONDS
    while detectors.current is None and following.problem is None and time.monotonic() < deadline:
        spoke = detectors.cache.follower_spoke()
        await asyncio.to_thread(detectors.refresh)
        if spoke:
            return
        await asyncio.sleep(0.05)
