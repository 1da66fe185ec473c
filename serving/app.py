"""The application as a function of its settings; building it has no effect on anything else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.routing import Route

from serving import errors, pages
from serving.cache import Cache
from serving.detectors import Detectors
from serving.requests import RequestIds
from serving.score import ONE_WINDOW_BYTES, ScoreEndpoint
from serving.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The service for `settings`.

    `app.state` has `settings` and `detectors`, whose `current` is what this worker serves, or None.
    """
    detectors = Detectors(Cache(settings.cache, settings.key), settings.bundle_folder)
    app: FastAPI = FastAPIOffline(title="Kizashi", lifespan=_lifespan)
    app.state.settings = settings
    app.state.detectors = detectors
    errors.install(app)
    app.add_middleware(RequestIds)
    limit = min(ONE_WINDOW_BYTES, settings.max_body_bytes)
    score = Route("/anomaly", ScoreEndpoint(detectors, limit), methods=["POST"])
    app.router.routes.insert(0, score)
    app.include_router(pages.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    detectors: Detectors = app.state.detectors
    await asyncio.to_thread(detectors.refresh)
    watcher = asyncio.create_task(detectors.watch())
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
