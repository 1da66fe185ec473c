"""POST /anomaly leaves the layers of the application where its endpoint can take over.

This layer stands behind those that every request needs (request id, metrics, errors, keys) and
before FastAPI's own, whose router and models of requests cost several times what a verdict does: it
hands the one path that factories call all day to its endpoint, and everything else on. The same
path is declared in `serving.verdicts.openapi`, which only documents it, and answers other methods
with 405.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.verdicts.fast_road import PATH


class OneWindow:
    """ASGI layer that answers POST /anomaly by `endpoint`."""

    def __init__(self, app: ASGIApp, endpoint: ASGIApp) -> None:
        self.app = app
        self.endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self.endpoint(scope, receive, send)
        else:
            await self.app(scope, receive, send)
