"""Exceptions become problem documents (RFC 9457) in one table.

RequestError
├── MalformedBody      the body is not what its media type says
├── BodyTooLarge       more bytes than are read
├── WrongMediaType     a body in a format that is not read here
├── NotAcceptable      an answer in a format that is not written here
└── NoModel            nothing can be scored yet
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

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


class MalformedBody(RequestError):
    """The body is not what its media type says."""


class BodyTooLarge(RequestError):
    """More bytes than are read."""


class WrongMediaType(RequestError):
    """A body in a format that is not read here."""


class NotAcceptable(RequestError):
    """An answer in a format that is not written here."""


class NoModel(RequestError):
    """Nothing can be scored yet."""


STATUS: dict[type[KizashiError], int] = {
    InvalidRow: 422,
    MalformedBody: 400,
    NotAcceptable: 406,
    BodyTooLarge: 413,
    WrongMediaType: 415,
    UnusableScore: 500,
    NoModel: 503,
    NotCalibrated: 503,
}
UNEXPECTED = "the service failed; its log has the reason under this request_id"


def invalid(detail: str, sensor: str | None = None) -> InvalidRow:
    """An InvalidRow with one problem."""
    return InvalidRow([Problem(detail, sensor)])


def too_large(limit: int) -> BodyTooLarge:
    """A BodyTooLarge that says how much is read."""
    return BodyTooLarge(f"the body is larger than the {limit} bytes that are read")


def document(
    status: int, detail: str, request_id: str, problems: Iterable[Problem] = ()
) -> dict[str, Any]:
    """A problem document; `errors` has one entry for each wrong thing of a row."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    errors = [
        {
            "detail": problem.detail,
            "sensor": None if problem.sensor is None else _writable(problem.sensor),
            "row": problem.row,
        }
        for problem in problems
    ]
    if errors:
        content["errors"] = errors
    return content


def _writable(text: str) -> str:
    """What a client sent, fit to be sent back: short, and without what UTF-8 cannot say."""
    return text[:SHOWN_CHARACTERS].encode(errors="replace").decode()


def problem_response(error: KizashiError, request_id: str) -> Response:
    """The answer to an error that this project raised on purpose."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    problems = error.problems if isinstance(error, InvalidRow) else ()
    detail = "; ".join(problem.detail for problem in problems[:SAID_PROBLEMS]) or str(error)
    if len(problems) > SAID_PROBLEMS:
        detail += "; and more, see errors"
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None
    return _response(document(status, detail, request_id, problems[:SHOWN_PROBLEMS]), headers)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, KizashiError)
        return problem_response(error, request.state.request_id)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = error.detail
        if error.status_code == 404:
            detail = f"there is nothing at {request.url.path[:SHOWN_CHARACTERS]!r}"
        elif error.status_code == 405 and error.headers is not None:
            detail = f"{request.method} is not answered here; {error.headers['Allow']} is"
        content = document(error.status_code, detail, request.state.request_id)
        return _response(content, error.headers)

    async def query(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = [Problem(f"{one['loc'][-1]}: {one['msg']}") for one in error.errors()]
        return problem_response(InvalidRow(problems), request.state.request_id)

    async def unexpected(request: Request, _error: Exception) -> Response:
        # Starlette answers these outside every other layer: the header has to be set here.
        request_id = request.state.request_id
        return _response(document(500, UNEXPECTED, request_id), {"X-Request-ID": request_id})

    app.add_exception_handler(KizashiError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, query)
    app.add_exception_handler(Exception, unexpected)


def _response(content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(content), content["status"], headers=headers, media_type=MEDIA_TYPE
    )
