"""Exceptions become answers in one place: a status from one table, written in a dialect.

A dialect is a function that writes a Failure as the clients of a protocol expect it; paths that no
protocol claims are answered with problem documents (RFC 9457).

RequestError
├── MalformedBody      the body is not what its media type says
├── BodyTooLarge       more bytes than are read
├── TooSlow            a body that does not come
├── TooBusy            more requests at a time than are taken on
├── WrongMediaType     a body in a format that is not read here
├── Unauthenticated    no key, or none that holds
├── Forbidden          a key without the right to it, or a request that another site has sent
├── TooManyRequests    more in a minute than are let through
├── NotAcceptable      an answer in a format that is not written here
├── NoSpace            the disk takes no more of a large batch
├── NotFound           a source or an alarm that the history does not know
├── Conflict           an action that the state of what it is for does not allow
├── HistoryUnavailable the database of the history does not answer
├── NotRecorded        a verdict was reached, and could not be recorded
├── UnknownModel       a model or version that is not the one served here
└── NoModel            nothing can be scored yet
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kizashi.errors import InvalidRow, KizashiError, NotCalibrated, Problem, UnusableScore

MEDIA_TYPE = "application/problem+json"
SHOWN_PROBLEMS = 100
"""A file of a million bad rows is answered with this many of them."""
SAID_PROBLEMS = 3
"""So many stand in `detail`, for clients that show nothing else."""
SHOWN_CHARACTERS = 200
RETRY_SECONDS = 2


class RequestError(KizashiError):
    """A request that cannot be answered as asked."""

    def headers(self) -> dict[str, str]:
        """What goes with the answer."""
        return {}


class MalformedBody(RequestError):
    """The body is not what its media type says."""


class BodyTooLarge(RequestError):
    """More bytes than are read."""


class WrongMediaType(RequestError):
    """A body in a format that is not read here."""


class TooSlow(RequestError):
    """A body that does not come; the connection ends with the answer."""

    def headers(self) -> dict[str, str]:
        return {"Connection": "close"}


class TooBusy(RequestError):
    """More requests at a time than are taken on."""


class Unauthenticated(RequestError):
    """No key, or a `wrong` one: unknown, or ended."""

    def __init__(self, detail: str, *, wrong: bool = False) -> None:
        super().__init__(detail)
        self.wrong = wrong

    def headers(self) -> dict[str, str]:
        challenge = 'Bearer realm="kizashi"'  # RFC 6750, section 3
        return {"WWW-Authenticate": challenge + ', error="invalid_token"' * self.wrong}


class Forbidden(RequestError):
    """A key without the right to it, or a request that another site has sent."""


class TooManyRequests(RequestError):
    """More in a minute than are let through; `seconds` until there is room again."""

    def __init__(self, detail: str, seconds: int) -> None:
        super().__init__(detail)
        self.seconds = seconds

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.seconds)}


class NotAcceptable(RequestError):
    """An answer in a format that is not written here."""


class NoSpace(RequestError):
    """The disk takes no more of what does not fit into memory."""


class UnknownModel(RequestError):
    """A model or version that is not the one served here."""


class NotFound(RequestError):
    """A source, or an alarm, that the history does not know."""


class Conflict(RequestError):
    """An action that the state of what it is for does not allow."""


class HistoryUnavailable(RequestError):
    """The database of the history does not answer."""


class NotRecorded(RequestError):
    """A verdict was reached, and could not be recorded: it is not answered, so that whoever asks
    again is answered by one that is."""


class NoModel(RequestError):
    """Nothing can be scored yet."""


STATUS: dict[type[KizashiError], int] = {
    InvalidRow: 422,
    MalformedBody: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    UnknownModel: 404,
    NotAcceptable: 406,
    NotFound: 404,
    Conflict: 409,
    TooSlow: 408,
    BodyTooLarge: 413,
    WrongMediaType: 415,
    TooManyRequests: 429,
    UnusableScore: 500,
    TooBusy: 503,
    NoModel: 503,
    HistoryUnavailable: 503,
    NotRecorded: 503,
    NoSpace: 507,
    NotCalibrated: 503,
}
UNEXPECTED = "the service failed; its log has the reason under this request_id"


def invalid(detail: str, sensor: str | None = None) -> InvalidRow:
    """An InvalidRow with one problem."""
    return InvalidRow([Problem(detail, sensor)])


def too_large(limit: int) -> BodyTooLarge:
    """A BodyTooLarge that says how much is read."""
    return BodyTooLarge(f"the body is larger than the {limit} bytes that are read")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a dialect writes: a status, what went wrong, and one problem for each wrong thing of a
    row."""

    status: int
    detail: str
    request_id: str
    problems: tuple[Problem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


Dialect = Callable[[Failure], Response]


class Dialects:
    """Which paths answer their failures in which dialect: by the start of the path, up to a `/`."""

    def __init__(self, of_prefix: Mapping[str, Dialect]) -> None:
        self._of_prefix = dict(of_prefix)

    def add(self, of_prefix: Mapping[str, Dialect]) -> None:
        """Know these too."""
        self._of_prefix |= of_prefix

    def write(self, path: str, failure: Failure) -> Response:
        """The answer to a request for `path` that failed."""
        for prefix, dialect in self._of_prefix.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return dialect(failure)
        return problem_document(failure)


def failure(error: KizashiError, request_id: str) -> Failure:
    """What an error that this project raised on purpose says to a client."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    problems = tuple(error.problems) if isinstance(error, InvalidRow) else ()
    detail = "; ".join(problem.detail for problem in problems[:SAID_PROBLEMS]) or str(error)
    if len(problems) > SAID_PROBLEMS:
        detail += "; and more, see errors"
    headers = error.headers() if isinstance(error, RequestError) else {}
    if status == 503:
        headers = {"Retry-After": str(RETRY_SECONDS)} | headers
    return Failure(status, detail, request_id, problems[:SHOWN_PROBLEMS], headers)


def problem_document(failure: Failure) -> Response:
    """A problem document; `errors` has one entry for each wrong thing of a row."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(failure.status).phrase,
        "status": failure.status,
        "detail": _utf8(failure.detail),
        "request_id": failure.request_id,
    }
    errors = [
        {
            "detail": _utf8(problem.detail),
            "sensor": None if problem.sensor is None else _utf8(problem.sensor[:SHOWN_CHARACTERS]),
            "row": problem.row,
        }
        for problem in failure.problems
    ]
    if errors:
        content["errors"] = errors
    body = msgspec.json.encode(content)
    return Response(body, failure.status, headers=failure.headers, media_type=MEDIA_TYPE)


def _utf8(text: str) -> str:
    """What may quote a client, fit to be sent back: without halves of surrogate pairs."""
    return text.encode(errors="replace").decode()


class Problems:
    """ASGI layer that answers the errors which this project raises on purpose, whichever layer
    behind it raised them.

    An answer that has begun cannot be taken back: then the error goes on, and the connection ends.
    """

    def __init__(self, app: ASGIApp, dialects: Dialects) -> None:
        self.app = app
        self.dialects = dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        def send_on(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        try:
            await self.app(scope, receive, send_on)
        except KizashiError as error:
            if begun or scope["type"] != "http":
                raise
            scope["state"]["reason"] = type(error).__name__
            failed = failure(error, scope["state"]["request_id"])
            await self.dialects.write(scope["path"], failed)(scope, receive, send)


Page = Callable[[Request, Failure], Response | None]
"""Writes a page for a person who opened an address in a browser, None for everybody else."""


def install(app: FastAPI, dialects: Dialects, page: Page) -> None:
    """Answer what FastAPI and Starlette raise, and what nobody foresaw, in the same way."""

    def write(request: Request, failed: Failure) -> Response:
        return page(request, failed) or dialects.write(request.url.path, failed)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail, headers = error.detail, dict(error.headers or {})
        if error.status_code == 404:
            detail = f"there is nothing at {request.url.path[:SHOWN_CHARACTERS]!r}"
        elif error.status_code == 405 and "Allow" in headers:
            detail = f"{request.method} is not answered here; {headers['Allow']} is"
        request_id = request.state.request_id
        return write(request, Failure(error.status_code, detail, request_id, headers=headers))

    async def query(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = [Problem(f"{one['loc'][-1]}: {one['msg']}") for one in error.errors()]
        request.state.reason = InvalidRow.__name__
        return write(request, failure(InvalidRow(problems), request.state.request_id))

    async def unexpected(request: Request, _error: Exception) -> Response:
        # Starlette answers these outside every other layer: the header has to be set here.
        request_id = request.state.request_id
        headers = {"X-Request-ID": request_id}
        return write(request, Failure(500, UNEXPECTED, request_id, headers=headers))

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, query)
    app.add_exception_handler(Exception, unexpected)
