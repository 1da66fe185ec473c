"""What no verdict needs comes after the service is ready.

The pages, the history, the alarms, the other protocols and the documents would more than double
the time until a first row is judged. So `create_app` leaves them to `serving.routers`, which is
imported in the background once the service is ready, or by the first request that needs it: that
request waits.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import ModuleType

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import health
from serving.verdicts import fast_road

AT_ONCE = frozenset(
    {("POST", fast_road.PATH)}
    | {(method, path) for method in health.METHODS for path in (health.LIVE, health.READY)}
)
"""What is answered from the first moment."""


AFTER_SECONDS = 0.1
"""So long after the start the rest comes by itself: who waits for the service to be ready, and the
first rows, have the processor to themselves."""


class Later:
    """The part of an application that comes later; `came` says whether it is there, and `then` is
    called once it is."""

    def __init__(self, app: FastAPI) -> None:
        self.came = False
        self.then: list[Callable[[], None]] = []
        self._app = app
        self._lock = threading.Lock()

    async def come(self) -> None:
        """Bring it in, without holding up the event loop while it is imported."""
        if not self.came:
            await asyncio.to_thread(_routers)
            self.come_now()

    def come_now(self) -> None:
        """Bring it in, in this thread: that of the event loop, if there is one."""
        with self._lock:
            if not self.came:
                _routers().install(self._app)
                self.came = True
                for call in self.then:
                    call()


def _routers() -> ModuleType:
    from serving import routers

    return routers


class WaitForLater:
    """ASGI layer in which a request waits for what comes later, unless it is AT_ONCE.

    It stands outside all that looks at routes and protocols: measuring, errors and rights. Once
    everything is there it costs a request one call.
    """

    def __init__(self, app: ASGIApp, later: Later) -> None:
        self.app = app
        self.later = later

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        at_once = (
            self.later.came
            or scope["type"] != "http"
            or (scope["method"], scope["path"]) in AT_ONCE
        )
        return self.app(scope, receive, send) if at_once else self._wait(scope, receive, send)

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.later.come()
        await self.app(scope, receive, send)
