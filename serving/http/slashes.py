"""A path with a slash too many or too few at its end leads on to the one that is answered.

The address is relative, so it holds behind a proxy, whatever that puts before the path.
"""

from urllib.parse import quote

from starlette.responses import RedirectResponse
from starlette.routing import Match, Router
from starlette.types import Receive, Scope, Send


class Slashes:
    """ASGI application for what no route of `router` answers."""

    def __init__(self, router: Router) -> None:
        self.router = router
        router.redirect_slashes = False  # Starlette's addresses are absolute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
            if other and self._answered({**scope, "path": other}):
                await RedirectResponse(_from(path, scope["query_string"]))(scope, receive, send)
                return
        await self.router.not_found(scope, receive, send)

    def _answered(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self.router.routes)


def _from(path: str, query: bytes) -> str:
    """The same place with or without its last slash, as seen from `path`."""
    last = quote(path.removesuffix("/").rpartition("/")[2])
    address = f"../{last}" if path.endswith("/") else f"./{last}/"
    return f"{address}?{query.decode('latin-1')}" if query else address
