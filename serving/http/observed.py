"""Each request is measured: how it was answered, in how many seconds, and why it was refused.

What is written down is a route of this service, never the path that a client sent.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import ClientDisconnect
from starlette.routing import Mount, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import TooBusy
from serving.http.patience import Patience
from serving.metrics.counts import OTHER, Counts
from serving.metrics.families import IN_FLIGHT

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLOSED = 499
"""What proxies call a connection that ended before its answer."""
UNNAMED = {404: "NotFound", 405: "MethodNotAllowed"}
ALWAYS = frozenset({"/health/live", "/health/ready", "/metrics"})
KEPT_PATHS, LONGEST_PATH = 1024, 200
PROTOCOLS = (
    ("/anomaly", "kizashi"),
    ("/v2", "open_inference"),
    ("/invocations", "mlflow"),
    ("/anomalydetector", "anomaly_detector"),
)

log = logging.getLogger("serving.access")


def protocol_of(route: str) -> str:
    """Whose protocol a route speaks; `service` for what no scoring protocol has."""
    for start, name in PROTOCOLS:
        if route == start or route.startswith(f"{start}/"):
            return name
    return "service"


def routes_of(app: FastAPI) -> list[str]:
    """Every route of `app` as it is written in the code; what is mounted answers all below it."""
    return [
        f"{found.path}/{{rest:path}}" if isinstance(found.original_route, Mount) else found.path
        for found in iter_route_contexts(app.router.routes)
        if found.path is not None
    ]


class Templates:
    """Paths to the routes that answer them; `other` for none."""

    def __init__(self, routes: Callable[[], Iterable[str]]) -> None:
        self._routes = routes
        self._exact: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] | None = None

    def of(self, path: str) -> str:
        """The route of `path`."""
        return self._exact.get(path) or self._search(path)

    def forget(self) -> None:
        """Look at the routes anew: there are more of them."""
        self._exact, self._patterns = {}, None

    def _search(self, path: str) -> str:
        if self._patterns is None:
            routes = list(dict.fromkeys(self._routes()))
            self._exact = {route: route for route in routes if "{" not in route}
            self._patterns = [(compile_path(route)[0], route) for route in routes if "{" in route]
            return self.of(path)
        found = next((route for one, route in self._patterns if one.match(path)), OTHER)
        if found != OTHER and len(path) <= LONGEST_PATH and len(self._exact) < KEPT_PATHS:
            self._exact[path] = found
        return found


async def too_busy(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of a worker that takes on no more; raises TooBusy."""
    raise TooBusy("as many requests as this worker takes on at a time are under way; ask again")


class Observed:
    """ASGI layer that counts each request, and writes it to the access log where one is wanted.

    It also has the limits of what clients may ask of a worker by waiting. Beyond `limit`
    requests at a time `busy` answers: whoever waits behind that many is better told at once. Probes
    and metrics are always let through, or an overload would look like a failure. `seconds` is how
    long a body may keep its request waiting (see `serving.http.patience`).
    """

    def __init__(
        self,
        app: ASGIApp,
        counts: Counts,
        templates: Templates,
        busy: ASGIApp,
        limit: int,
        seconds: float,
        access_log: bool = False,
    ) -> None:
        self.app = app
        self.busy = busy
        self.limit = limit
        self.seconds = seconds
        self.counts = counts
        self.templates = templates
        self.access_log = access_log
        counts.read(IN_FLIGHT, lambda: [((), float(counts.in_flight))])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = CLOSED

        def send_on(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        app = self.app
        if self.counts.in_flight >= self.limit and scope["path"] not in ALWAYS:
            app = self.busy
        started = perf_counter()
        self.counts.in_flight += 1
        try:
            await app(scope, Patience(receive, self.seconds), send_on)
        except ClientDisconnect:
            raise
        except Exception:
            if status == CLOSED:
                status = 500  # the layer outside of all others answers it
            raise
        finally:
            self.counts.in_flight -= 1
            seconds = perf_counter() - started
            route = self.templates.of(scope["path"])
            method = scope["method"]
            self.counts.answer(route, method if method in METHODS else OTHER, status, seconds)
            if status >= 400:
                self._refused(scope, route, status)
            if self.access_log:
                self._log(scope, route, status, seconds)

    def _refused(self, scope: Scope, route: str, status: int) -> None:
        reason = scope["state"].get("reason") or UNNAMED.get(status)
        if reason is None:
            reason = "Unexpected" if status >= 500 else "Closed" if status == CLOSED else OTHER
        self.counts.reject(route, reason)

    def _log(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        client = scope.get("client")
        values = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "client": client[0] if client else None,
        }
        log.info(
            "%(method)s %(route)s %(status)d in %(milliseconds)s ms",
            values,
            extra={"values": values},
        )
