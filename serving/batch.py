"""POST /anomaly/batch: many rows in, their scores and statuses out, in the order sent.

For a windowed model the rows are consecutive, and each is judged with those before it: the first
T - 1 rows have no verdict, and get null.
"""

import asyncio
from dataclasses import dataclass
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.errors import NotAcceptable
from serving.requests import header, media_type, read_body
from serving.rows import read_csv, read_json
from serving.score import status
from serving.scoring import Judged, Origin, Scoring

JSON, CSV = b"application/json", b"text/csv"
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BatchEndpoint:
    """The ASGI endpoint; reading and scoring run in a thread, beside the event loop."""

    scoring: Scoring
    limit: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, charset = media_type(scope["headers"], (JSON, CSV))
        wanted = accepted(header(scope["headers"], b"accept"))
        served = self.scoring.held()
        origin = Origin("batch", scope["state"]["request_id"])
        body = await read_body(scope, receive, self.limit)

        def answer() -> bytes:
            contract = served.detector.contract
            rows_NF = (
                read_csv(body, charset, contract) if kind == CSV else read_json(body, contract)
            )
            scores, statuses = written(self.scoring.many(served, rows_NF, origin))
            return write_csv(scores, statuses) if wanted == CSV else write_json(scores, statuses)

        response = Response(await asyncio.to_thread(answer), media_type=wanted.decode())
        response.raw_headers.extend(served.headers)
        await response(scope, receive, send)


def accepted(accept: bytes) -> bytes:
    """The format of the answer that `Accept` prefers, JSON when it does not care.

    Raises NotAcceptable when it wants neither.
    """
    weights = dict(_weight(one) for one in accept.lower().split(b",") if one.strip())
    if not weights:
        return JSON

    def weight(kind: bytes) -> float:
        group = kind.split(b"/")[0] + b"/*"
        return next((weights[one] for one in (kind, group, b"*/*") if one in weights), 0.0)

    best = max((JSON, CSV), key=weight)
    if weight(best) <= 0:
        shown = accept[:60].decode("latin-1")
        raise NotAcceptable(f"Accept is {shown!r}; application/json or text/csv can be written")
    return best


def _weight(one: bytes) -> tuple[bytes, float]:
    kind, *parameters = (part.strip() for part in one.split(b";"))
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return kind, float(parameter[2:])
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def written(judged: Judged) -> tuple[list[float | None], list[str | None]]:
    """Score and status of each row; null for rows before the first whole window."""
    first = int(np.count_nonzero(np.isnan(judged.score_N)))
    none: list[None] = [None] * first
    scores = judged.score_N[first:].tolist()
    return [*none, *scores], [*none, *map(status, judged.anomaly_N[first:])]


def write_json(scores: list[float | None], statuses: list[str | None]) -> bytes:
    """The answer as JSON."""
    return msgspec.json.encode({"scores": scores, "statuses": statuses})


def write_csv(scores: list[float | None], statuses: list[str | None]) -> bytes:
    """The answer as CSV; a row without a verdict has two empty cells."""
    rows = (
        f"{'' if score is None else repr(score)},{word or ''}\r\n"
        for score, word in zip(scores, statuses, strict=True)
    )
    return "".join(chain(("score,status\r\n",), rows)).encode()
