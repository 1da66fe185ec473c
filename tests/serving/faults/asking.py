"""Asks an application directly, thousands of times, and holds every answer to the same promises.

Whatever is sent: a clear answer below 500 in the words of the path, nothing of the program's
inside, one request id, no header that the request made up, what the OpenAPI document declares, and
then the next good request gets the score that it always had.
"""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import msgspec
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from starlette.routing import compile_path

from serving.http.requests import SANE_ID
from tests.bundles import NORMAL_ROW
from tests.serving.faults.tried import TRIED

LONG = "long"
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "")
TIMES = 30 if PROFILE == LONG else 1
"""So many times as many inputs, and new ones in every run; otherwise they are always the same."""

INSIDE = re.compile(
    rb"Traceback|site-packages|\.py\", line|<\w[\w. ]* object at|\b0x[0-9a-f]{8,}|"
    rb"\w+(Error|Exception|Warning)\(|\b(serving|kizashi)\.(verdicts|http|formats|history|runtime)\b|"
    rb"sqlite3|sqlalchemy|psycopg|msgspec|pydantic\.dev|numpy\."
)
"""What would be a piece of the program rather than an answer."""

Headers = list[tuple[bytes, bytes]]


def examples(count: int) -> settings:
    """How many inputs a test tries."""
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        database=None,
        derandomize=PROFILE != LONG,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


@dataclass(frozen=True)
class Sent:
    """One request, as it goes over the wire."""

    method: str
    path: str
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    pieces: int = 1
    """In how many messages the body comes."""


@dataclass(frozen=True)
class Got:
    """One answer."""

    status: int
    headers: Headers
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every header of this name."""
        return [value.decode("latin-1") for key, value in self.headers if key.decode() == name]

    @property
    def media_type(self) -> str:
        return (self.all("content-type") or [""])[0].partition(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)


class Asker:
    """Sends requests to `app`, whose lifespan the caller takes care of."""

    def __init__(self, app: FastAPI, key: bytes | None = None, good: object = NORMAL_ROW) -> None:
        self._values = good
        self.app = app
        self.key = key
        self._loop = asyncio.new_event_loop()
        self._declared = Declared(app)
        self.score = self._good()

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def ask(self, sent: Sent) -> Got:
        """The answer, with no promise held against it."""
        return self._loop.run_until_complete(asyncio.wait_for(self._ask(sent), 60))

    def check(self, sent: Sent, how: str) -> Got:
        """The answer, held to every promise; the input counts as one of `how`."""
        TRIED[how] += 1
        got = self.ask(sent)
        require_sound(sent, got)
        self._declared.require(sent, got)
        assert self._good() == self.score, "the score of the next good request has changed"
        return got

    def _good(self) -> float:
        headers = [(b"content-type", b"application/json")]
        if self.key is not None:
            headers.append((b"x-api-key", self.key))
        body = json.dumps({"values": self._values}).encode()
        got = self.ask(Sent("POST", "/anomaly", body, headers))
        assert got.status == 200, got
        return float(got.json()["score"])

    async def _ask(self, sent: Sent) -> Got:
        raw, _, query = sent.path.encode("utf-8", "surrogateescape").partition(b"?")
        hosted = any(name == b"host" for name, _ in sent.headers)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": sent.method,
            "scheme": "http",
            "path": unquote(raw.decode("latin-1")),
            "raw_path": raw,
            "root_path": "",
            "query_string": query,
            "headers": [*([] if hosted else [(b"host", b"127.0.0.1:8000")]), *sent.headers],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        messages = _messages(sent)
        answered = asyncio.Event()
        status, headers, body = 0, [], b""

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", []))
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    answered.set()

        try:
            await self.app(scope, receive, send)
        except Exception:
            if status != 500:  # what Starlette answers so, it raises on for the log
                raise
        return Got(status, headers, body)


def _messages(sent: Sent) -> Iterator[dict[str, Any]]:
    size = max(1, -(-len(sent.body) // sent.pieces))
    cuts = [sent.body[at : at + size] for at in range(0, len(sent.body), size)] or [b""]
    for number, piece in enumerate(cuts, 1):
        yield {"type": "http.request", "body": piece, "more_body": number < len(cuts)}


def require_sound(sent: Sent, got: Got) -> None:
    """The promises that need no document."""
    assert 200 <= got.status < 500, got
    for name, value in got.headers:
        assert name == name.lower() and not set(value) & set(b"\r\n\0"), got.headers
    ids = got.all("x-request-id")
    assert len(ids) == 1 and SANE_ID.fullmatch(ids[0].encode())
    if got.status >= 400 or got.media_type == "application/json":
        told = f"{unquote(sent.path)}\n".encode(errors="replace") + sent.body
        inside = [one.group() for one in INSIDE.finditer(got.body)]
        assert [one for one in inside if one not in told] == [], got  # a client may be quoted
    if got.status >= 400 and sent.method != "HEAD" and got.media_type != "text/html":
        require_dialect(sent.path.partition("?")[0], got)


def require_dialect(path: str, got: Got) -> None:
    """An error is in the words of the path's protocol, and says something."""
    content = msgspec.json.decode(got.body, strict=True)  # UTF-8, and no NaN
    path = unquote(path)
    if path == "/v2" or path.startswith("/v2/"):
        assert set(content) == {"error"} and content["error"]
    elif path == "/invocations" or path.startswith("/invocations/"):
        assert set(content) == {"error_code", "message"} and content["message"]
    elif path == "/anomalydetector" or path.startswith("/anomalydetector/"):
        assert set(content) == {"code", "message"} and content["message"]
        assert got.all("x-ms-error-code") == [content["code"]]
    else:
        assert got.media_type == "application/problem+json", got
        assert content["status"] == got.status and content["detail"]
        assert content["title"] == HTTPStatus(got.status).phrase
        assert [content["request_id"]] == got.all("x-request-id")


class Declared:
    """What the OpenAPI document says of answers."""

    ANYWHERE = frozenset({405, 408})
    """Of no operation: of the server as a whole."""

    def __init__(self, app: FastAPI) -> None:
        self.document = app.openapi()
        self._paths = [(compile_path(path)[0], path) for path in self.document["paths"]]
        self._validators: dict[tuple[str, str, str, str], Any] = {}

    def require(self, sent: Sent, got: Got) -> None:
        """What is answered at a declared path is declared, and has the declared shape."""
        path = unquote(sent.path.partition("?")[0])
        found = (route for pattern, route in self._paths if pattern.fullmatch(path))
        exact = path if path in self.document["paths"] else None
        route = exact or next(found, None)
        operation = self.document["paths"].get(route, {}).get(sent.method.lower())
        if operation is None or got.status in self.ANYWHERE:
            return
        response = operation["responses"].get(str(got.status))
        assert response is not None, f"{sent.method} {route} does not declare {got.status}: {got}"
        if got.status == 204:
            assert got.body == b""
            return
        kinds = response["content"]
        assert got.media_type in kinds, f"{sent.method} {route} {got.status}: {got.media_type}"
        if got.media_type in ("application/json", "application/problem+json"):
            self._validator(route or "", sent.method.lower(), got).validate(got.json())

    def _validator(self, route: str, method: str, got: Got) -> Any:
        place = (route, method, str(got.status), got.media_type)
        if place not in self._validators:
            operation = self.document["paths"][route][method]
            schema = operation["responses"][place[2]]["content"][place[3]].get("schema", {})
            whole = {"components": self.document["components"], "allOf": [schema]}
            self._validators[place] = jsonschema_rs.Draft202012Validator(whole)
        return self._validators[place]


@contextmanager
def asking(app: FastAPI, key: str | None = None, good: object = NORMAL_ROW) -> Iterator[Asker]:
    """An asker of `app`, with its history and without its other processes."""
    history = app.state.history
    history.start()
    asker = Asker(app, None if key is None else key.encode(), good)
    try:
        yield asker
    finally:
        asker.close()
        history.close()
