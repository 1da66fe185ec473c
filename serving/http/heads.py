"""HEAD is answered wherever GET is: monitors and `curl -I` ask so, and RFC 9110 wants it."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """ASGI layer that lets the routes answer HEAD as GET; the server leaves out the body, which it
    knows by the request that it received."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        return self.app(scope, receive, send)
