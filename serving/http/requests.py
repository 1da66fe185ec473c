"""What comes in: media type, body, JSON; and the id that names each request."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import logs
from serving.errors import MalformedBody, WrongMediaType, invalid, too_large

SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
LONGEST_INTEGER = 400
"""Digits; a longer whole number is beyond every float, and slow to read."""
AT_ONCE_BYTES = 256 * 1024
"""Up to here a body's numbers are read by C in one go. Between two calls of a Python function other
threads have their turn, the event loop's among them; within one call in C none has."""

_ids = Random()
"""Seeded by the system once: ids have to differ, not to be secret, and asking it takes longer."""

Headers = Iterable[tuple[bytes, bytes]]


class RequestIds:
    """ASGI layer: each request has an id, the client's own if it is sane, and each answer says it.

    It is in `scope["state"]["request_id"]`. A client that hangs up before its request is whole has
    nobody to answer: the request ends here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = header(scope["headers"], b"x-request-id")
        if SANE_ID.fullmatch(request_id) is None:
            request_id = new_id()
        name = scope.setdefault("state", {})["request_id"] = request_id.decode()
        logs.request_id.set(name)  # in this task, and in threads that work for it

        def send_named(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                named = (b"x-request-id", request_id)
                message["headers"] = [*message.get("headers", ()), named]
            return send(message)

        try:
            await self.app(scope, receive, send_named)
        except ClientDisconnect:
            return


def new_id() -> bytes:
    """An id for a request that brings none."""
    return b"%032x" % _ids.getrandbits(128)


def header(headers: Headers, name: bytes) -> bytes:
    """The first header with this lower-case name; empty when there is none."""
    for found, value in headers:
        if found == name:
            return value
    return b""


def media_type(headers: Headers, read: tuple[bytes, ...]) -> tuple[bytes, str]:
    """The body's media type and charset, lower-case; no media type means the first of `read`.

    Raises WrongMediaType for one that is not in `read`, and for a compressed body.
    """
    sent = header(headers, b"content-type")
    if sent == read[0]:
        kind, charset = sent, "utf-8"
    else:
        kind, _, parameters = sent.partition(b";")
        kind, charset = kind.strip().lower() or read[0], _charset(parameters)
    if kind not in read:
        allowed = " or ".join(one.decode() for one in read)
        raise WrongMediaType(f"Content-Type is {_quoted(kind)}; {allowed} is needed")
    encoding = header(headers, b"content-encoding")
    if encoding and encoding.strip().lower() not in (b"", b"identity"):
        raise WrongMediaType(f"Content-Encoding is {_quoted(encoding)}; none is read here")
    return kind, charset


def _charset(parameters: bytes) -> str:
    found = re.search(rb'charset\s*=\s*"?([\w.:-]+)', parameters, re.IGNORECASE)
    return "utf-8" if found is None else found[1].decode().lower()


def _quoted(value: bytes) -> str:
    return repr(value[:60].decode("latin-1"))


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; raises BodyTooLarge, without reading it, when it is longer than `limit`."""
    _refuse_announced(scope, limit)
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        pieces = bytearray(body)
        while message.get("more_body", False) and len(pieces) <= limit:
            message = await _next(receive)
            pieces += message.get("body", b"")
        body = bytes(pieces)
    if len(body) > limit:
        raise too_large(limit)
    return body


async def read_blocks(
    scope: Scope, receive: Receive, limit: int, size: int
) -> AsyncIterator[tuple[bytes, bool]]:
    """The body in blocks of `size` bytes, however the client cut it, and with each whether it is
    the last, which is smaller and may be empty. No more is received before a block is done with.

    Raises BodyTooLarge as soon as it is longer than `limit`.
    """
    _refuse_announced(scope, limit)
    left, total, more = bytearray(), 0, True
    while more:
        message = await _next(receive)
        left += message.get("body", b"")
        total += len(message.get("body", b""))
        more = message.get("more_body", False)
        if total > limit:
            raise too_large(limit)
        while len(left) >= size:
            block = bytes(left[:size])
            del left[:size]
            yield block, False
    yield bytes(left), True


def _refuse_announced(scope: Scope, limit: int) -> None:
    length = header(scope["headers"], b"content-length")
    if length.isdigit() and int(length[:20]) > limit:
        raise too_large(limit)


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def parse_json(body: bytes) -> Any:
    """Read JSON as the fast decoder cannot: it sees names that occur twice, and lets NaN, Infinity
    and numbers beyond a float through to the data contract, which names their sensor.

    Raises MalformedBody, or InvalidRow for a name that occurs twice in one object.
    """
    if not body or body.isspace():
        raise MalformedBody("the body is empty; JSON is needed")
    read_float = None if len(body) <= AT_ONCE_BYTES else _float
    with json_problems():
        return json.loads(
            body, object_pairs_hook=_each_once, parse_int=_integer, parse_float=read_float
        )


def careful_decoder() -> json.JSONDecoder:
    """Reads as `parse_json` does, from the middle of a text."""
    return json.JSONDecoder(object_pairs_hook=_each_once, parse_int=_integer)


@contextmanager
def json_problems() -> Iterator[None]:
    """What Python's JSON reader raises becomes MalformedBody."""
    try:
        yield
    except RecursionError as error:
        raise MalformedBody("the body is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not {error.encoding} (byte {error.start})") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody(f"the body is not JSON: {error.msg} ({place})") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(f"{twice[:60]!r} occurs twice in one object; it may be given once")
    return content


def _float(digits: str) -> float:
    return float(digits)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)
