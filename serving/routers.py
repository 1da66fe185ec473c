"""Everything that the service answers beside single rows and questions after its health.

Nothing imports this module but `serving.later`, when the service is ready.
"""

from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from starlette.routing import Route

from serving import documentation, model, openapi_health, pages, protocols
from serving.alarms import api as alarms_api
from serving.alarms import events
from serving.history import api as history_api
from serving.history.lease import Watched
from serving.history.service import History
from serving.metrics import endpoint as metrics
from serving.notify import api as notify_api
from serving.notify.board import LEASE, LEASE_SECONDS
from serving.pages import sign_in
from serving.settings import Settings
from serving.threshold import api as threshold_api
from serving.threshold.desk import Desk
from serving.verdicts import openapi
from serving.verdicts.batch import BatchEndpoint
from serving.verdicts.scoring import Scoring

ROUTERS = (
    openapi.router,
    openapi_health.router,
    metrics.router,
    model.router,
    documentation.router,
    pages.router,
    sign_in.router,
    history_api.router,
    alarms_api.router,
    events.router,
    threshold_api.router,
    notify_api.router,
)


def install(app: FastAPI) -> None:
    """Add all of it to an application that has the rest."""
    settings: Settings = app.state.settings
    scoring: Scoring = app.state.scoring
    history: History | None = app.state.history
    database = None if history is None else history.database
    app.version = _version()
    app.state.threshold = Desk(app.state.detectors, database, settings.model_uri)
    app.state.sending = Watched(LEASE, LEASE_SECONDS)
    app.state.dialects.add(protocols.DIALECTS)
    # This answers; what `openapi` declares of the same path comes after it and only documents.
    batch = BatchEndpoint(scoring, settings.max_body_bytes, settings.max_stream_bytes)
    app.state.counts.queue("batches", lambda: batch.waiting)
    app.router.routes.insert(0, Route("/anomaly/batch", batch, methods=["POST"]))
    for router in ROUTERS:
        app.include_router(router)
    protocols.install(app, scoring, settings)
    openapi.install(app)


def _version() -> str:
    try:
        return version("kizashi")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
