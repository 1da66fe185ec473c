"""The fast road: what factories send all day is answered in a straight line.

The layers of the application, its router and its models of requests cost several times what a
verdict does. A POST /anomaly that is in order in every way, and whose row is normal, does not need
them: a key that holds, one row of finite numbers, nothing asked for besides. It is answered here.
Whatever is not so is handed on, with the part of the body that was read, to the application, which
judges it from the start and says what there is to say: errors in the words of a protocol, details,
anomalies that have to be committed first. So nothing is answered here in another way than there;
the tests hold the two side by side.
"""

import math
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kizashi.errors import KizashiError
from serving.access import Rights
from serving.metrics.counts import Counts
from serving.patience import Patience
from serving.requests import SANE_ID, new_id
from serving.score import JSON, JSON_HEADERS, check_origin, may_repeat
from serving.scoring import Origin, Scoring

PATH = "/anomaly"
SLOW = frozenset({b"content-encoding", b"origin", b"sec-fetch-site"})
"""Headers of compressed bodies, which are refused, and of browsers, which are told apart."""


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """The body of nearly every request."""

    values: list[float]
    source: str | None = None
    timestamp: str | None = None


_decode = msgspec.json.Decoder(Row).decode
_encode = msgspec.json.Encoder().encode


class FastRoad:
    """ASGI layer, outside all others and those of FastAPI: answers what is in order, and hands on
    everything else.

    `body_limit` in bytes, `busy` requests at a time and `seconds` for a body are those of the
    layers and the endpoint behind it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        scoring: Scoring,
        rights: Rights,
        counts: Counts,
        body_limit: int,
        busy: int,
        seconds: float,
    ) -> None:
        self.app = app
        self.scoring = scoring
        self.rights = rights
        self.counts = counts
        self.body_limit = body_limit
        self.busy = busy
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._let_in(scope, headers):
            await self.app(scope, receive, send)
            return
        counts, started = self.counts, perf_counter()
        counts.in_flight += 1
        came: Message | KizashiError
        try:
            try:
                came = await Patience(receive, self.seconds)()
                answer = await self._answer(came, headers)
            except KizashiError as error:  # of a body that does not come
                came, answer = error, None
            if answer is not None:
                await send(answer[0])
                await send(answer[1])
                counts.answer(PATH, "POST", 200, perf_counter() - started)
                return
        finally:
            counts.in_flight -= 1
        await self.app(scope, Again(came, receive), send)

    def _let_in(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether a request may be answered here, as far as its head tells."""
        if (
            scope["query_string"]
            or headers.get(b"content-type") != JSON[0]
            or self.counts.in_flight >= self.busy
            or not SLOW.isdisjoint(headers)
        ):
            return False
        try:
            self.rights.check(scope, headers, "score", scope.setdefault("state", {}))
        except KizashiError:
            return False
        return True

    async def _answer(
        self, came: Message, headers: dict[bytes, bytes]
    ) -> tuple[Message, Message] | None:
        """The answer to a body that is there at once, whole, and in order; None to any other."""
        body = came.get("body", b"")
        if came.get("more_body", False) or len(body) > self.body_limit or may_repeat(body):
            return None
        request_id = headers.get(b"x-request-id", b"")
        if SANE_ID.fullmatch(request_id) is None:
            request_id = new_id()
        try:
            row = _decode(body)
            if row.source is not None or row.timestamp is not None:
                check_origin(row.source, row.timestamp)
            served = self.scoring.held()
            contract = served.detector.contract
            if contract.window_length != 1 or len(row.values) != len(contract.sensors):
                return None
            window_TF = np.array((row.values,))
            if not math.isfinite(np.vdot(window_TF, window_TF)):
                return None
            origin = Origin("anomaly", request_id.decode(), row.source, row.timestamp)
            score = await self.scoring.if_normal(served, window_TF, origin)
        except Exception:  # whatever it is, the application says it
            return None
        if score is None:
            return None
        said = _encode({"score": score, "status": "normal"})
        length, named = (b"content-length", b"%d" % len(said)), (b"x-request-id", request_id)
        told = (*JSON_HEADERS, length, *served.headers, named)
        return (
            {"type": "http.response.start", "status": 200, "headers": told},
            {"type": "http.response.body", "body": said},
        )


class Again:
    """`receive` for whoever comes after one who has received once: what came then comes first."""

    def __init__(self, came: Message | KizashiError, receive: Receive) -> None:
        self._came: Message | KizashiError | None = came
        self._receive = receive

    async def __call__(self) -> Any:
        came, self._came = self._came, None
        if came is None:
            return await self._receive()
        if isinstance(came, KizashiError):
            raise came
        return came
