"""What the POST requests of all protocols have in common: a whole body in, one answer out.

An adapter is a function from `Asked` to `Answer`; it knows its protocol's words and nothing of the
event loop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from serving.errors import Failure, invalid
from serving.following.detectors import Served
from serving.http.requests import Headers, header, parse_json, read_body
from serving.verdicts.aside import LARGE_BYTES, aside
from serving.verdicts.scoring import Origin, Scoring

PACKED = b"application/vnd."
"""Formats whose bodies may hold far more than their size says: each counts as large."""
JSON = b"application/json"
VALUES_AT_ONCE = 2**15
SAID_CHARACTERS = 4000
"""A client shows an error in one line of a log; the first problems are enough to go on with."""


Struct = TypeVar("Struct", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whole, and the model that answers it; `path` has what the route names."""

    scoring: Scoring
    served: Served
    headers: Headers
    path: Mapping[str, str]
    body: bytes
    origin: Origin


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back with status 200."""

    body: bytes
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The ASGI endpoint of one operation; errors go to the layer that knows the path's dialect."""

    scoring: Scoring
    limit: int
    protocol: str
    answer: Callable[[Asked], Answer]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        served = self.scoring.held()
        body = await read_body(scope, receive, self.limit)
        asked = Asked(
            self.scoring,
            served,
            scope["headers"],
            scope["path_params"],
            body,
            Origin(self.protocol, scope["state"]["request_id"]),
        )
        packed = header(scope["headers"], b"content-type").startswith(PACKED)
        size = max(len(body), LARGE_BYTES + 1) if packed else len(body)
        answer = await aside(size, partial(self.answer, asked))
        headers = (
            (b"content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
            *served.headers,
        )
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def read_struct(body: bytes, kind: type[Struct], what: str) -> Struct:
    """A JSON body as a struct; raises MalformedBody, or InvalidRow where it is not `what`."""
    try:
        return msgspec.convert(parse_json(body), kind)
    except msgspec.ValidationError as error:
        raise invalid(f"this is no {what}: {error}") from error
    except UnicodeEncodeError as error:
        raise invalid(f"this is no {what}: a name has half of a surrogate pair") from error


def encode_list(values: Sequence[Any]) -> msgspec.Raw:
    """A list as JSON, encoded in parts: in one call a long one would let no other thread run."""
    parts = (
        msgspec.json.encode(values[at : at + VALUES_AT_ONCE])[1:-1]
        for at in range(0, len(values), VALUES_AT_ONCE)
    )
    return msgspec.Raw(b"[%b]" % b",".join(parts))


def said(failure: Failure) -> str:
    """What a protocol whose errors are a single text says of a failure: every problem, as far as
    they fit, and nothing that UTF-8 cannot write."""
    text = "; ".join(problem.detail for problem in failure.problems) or failure.detail
    if len(text) > SAID_CHARACTERS:
        text = text[: SAID_CHARACTERS - 1] + "…"
    return text.encode(errors="replace").decode()
