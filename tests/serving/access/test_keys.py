"""Who is let in, over the whole application."""

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request as Ask
from urllib.request import urlopen

import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kizashi.runtime.bundle import Bundle
from serving.access import RIGHTS, needed
from serving.keys.file import KeyFile
from tests.serving.access.conftest import ROW, MakeKey
from tests.serving.conftest import MakeClient
from tests.serving.pages.service import running


def _id(key: str) -> str:
    return key.split("_")[1]


@pytest.mark.parametrize(
    "header",
    [
        ("X-API-Key", "{}"),
        ("x-api-key", " {} "),
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer {}"),
        ("Ocp-Apim-Subscription-Key", "{}"),
    ],
)
def test_a_key_is_taken_from_each_header_that_clients_send_it_in(
    keyed: tuple[TestClient, str], header: tuple[str, str]
) -> None:
    client, key = keyed
    name, value = header
    answer = client.post("/anomaly", json=ROW, headers={name: value.format(key)})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"Authorization": "Basic a3o6a3o="},
        {"Cookie": "kizashi_lang=en; kizashi_key="},
    ],
)
def test_without_a_key_the_answer_is_401_and_says_where_it_goes(
    keyed: tuple[TestClient, str], headers: dict[str, str]
) -> None:
    answer = keyed[0].post("/anomaly", json=ROW, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="kizashi"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "X-API-Key" in answer.json()["detail"]


def test_a_wrong_key_is_401_and_is_not_repeated_in_the_answer(
    keyed: tuple[TestClient, str],
) -> None:
    client, key = keyed
    wrong = key[:-4] + "AAAA"
    for headers in ({"X-API-Key": wrong}, {"Authorization": f"Bearer {wrong}"}):
        answer = client.post("/anomaly", json=ROW, headers=headers)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert wrong not in answer.text


def test_a_wrong_header_is_not_made_good_by_another(keyed: tuple[TestClient, str]) -> None:
    client, key = keyed
    headers = {"X-API-Key": "kz_a_b", "Authorization": f"Bearer {key}"}
    assert client.post("/anomaly", json=ROW, headers=headers).status_code == 401


def test_who_has_a_key_that_ended_is_told_so(
    press_line: Bundle, make: MakeKey, make_client: MakeClient, tmp_path: Path
) -> None:
    expired = make(expires=datetime.now(UTC) - timedelta(seconds=1))
    revoked = make()
    KeyFile(tmp_path / "cache" / "keys.json").revoke(_id(revoked))
    client = make_client(press_line.folder)
    for key, said in ((expired, "expired on"), (revoked, "was revoked on")):
        answer = client.post("/anomaly", json=ROW, headers={"X-API-Key": key})
        assert answer.status_code == 401
        assert f"the key 'press-01' {said}" in answer.json()["detail"]


@pytest.mark.parametrize("key", ["ü", "kz_\x7f", "kz_" + "a" * 60_000, "kz_a_" + "b" * 60_000])
def test_what_is_no_key_at_all_is_401(keyed: tuple[TestClient, str], key: str) -> None:
    headers = {"X-API-Key": key.encode("latin-1")}
    assert keyed[0].post("/anomaly", json=ROW, headers=headers).status_code == 401  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v2/health/live", "/ping"])
def test_health_needs_no_key(keyed: tuple[TestClient, str], path: str) -> None:
    assert keyed[0].get(path).status_code == 200


def _routes(app: FastAPI) -> list[tuple[str, str]]:
    found = []
    for context in app.router.routes:
        if isinstance(context, Route):
            found += [(method, context.path) for method in context.methods or ()]
    return found


def test_every_route_but_the_open_ones_asks_for_a_key(
    press_line: Bundle, make: MakeKey, make_client: MakeClient
) -> None:
    make()
    client = make_client(press_line.folder)
    document = client.app.openapi()  # type: ignore[attr-defined]
    asked = [
        (method.upper(), re.sub(r"\{\w+\}", "1", path))
        for path, operations in document["paths"].items()
        for method in operations
    ]
    pages = [("GET", "/"), ("GET", "/metrics"), *_routes(client.app)]  # type: ignore[arg-type]
    opened = set()
    for method, path in {*asked, *pages}:
        answer = client.request(method, path, follow_redirects=False)
        if answer.status_code != 401:
            opened.add(path)
    assert opened <= {
        *("/health", "/health/live", "/health/ready", "/ping"),
        *("/v2/health/live", "/v2/health/ready"),
        *("/v2/models/1/ready", "/v2/models/1/versions/1/ready"),
        *("/sign-in", "/sign-out"),
    }
    assert "/health/ready" in opened


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/anomaly", "score"),
        ("POST", "/anomaly/batch", "score"),
        ("POST", "/anomaly/", "score"),
        ("GET", "/", "score"),
        ("GET", "", "score"),
        ("GET", "/model", "score"),
        ("GET", "/metrics", "score"),
        ("GET", "/openapi.json", "score"),
        ("GET", "/docs", "score"),
        ("GET", "/docs/oauth2-redirect", "score"),
        ("GET", "/healthy", "score"),
        ("GET", "/health/live", None),
        ("GET", "/static/page.css", None),
        ("GET", "/staticky", "score"),
        ("GET", "/v2", "score"),
        ("GET", "/v2/models/kizashi", "score"),
        ("GET", "/v2/models/kizashi/ready", None),
        ("GET", "/v2/models/kizashi/versions/3/ready", None),
        ("POST", "/v2/models/kizashi/ready", "score"),
        ("GET", "/v2/models/ready", "score"),
        ("GET", "/v2/models/a/b/c/ready", "score"),
        ("POST", "/v2/models/kizashi/infer", "score"),
        ("POST", "/anomalydetector/v1.1/multivariate/models/a:detect-last", "score"),
        ("POST", "/something-new", "admin"),
        ("DELETE", "/model", "admin"),
    ],
)
def test_the_table_says_which_scope_a_request_needs(
    method: str, path: str, scope: str | None
) -> None:
    assert needed(method, path) == scope


def test_a_key_without_the_scope_is_403_and_one_with_a_higher_scope_is_not(
    press_line: Bundle, make: MakeKey, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RIGHTS, "/model", "operate")
    score, operate, admin = make("score"), make("operate"), make("admin")
    client = make_client(press_line.folder)
    answer = client.get("/model", headers={"X-API-Key": score})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "the key 'press-01' has the scope score; operate is needed"
    for key in (operate, admin):
        assert client.get("/model", headers={"X-API-Key": key}).status_code == 200
        assert client.post("/anomaly", json=ROW, headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v2/models/press-line/infer", lambda body: body["error"]),
        ("/invocations", lambda body: body["message"]),
        (
            "/anomalydetector/v1.1/multivariate/models/press-line:detect-last",
            lambda body: body["message"],
        ),
    ],
)
def test_each_protocol_says_it_in_its_own_words(
    keyed: tuple[TestClient, str], path: str, error: Callable[[Any], str]
) -> None:
    answer = keyed[0].post(path, json={})
    assert answer.status_code == 401
    assert "a key is needed" in error(answer.json())
    assert "WWW-Authenticate" in answer.headers


def test_a_key_beyond_its_limit_is_429_until_there_is_room(
    press_line: Bundle, make: MakeKey, make_client: MakeClient
) -> None:
    limited, other = make(limit=3), make()
    client = make_client(press_line.folder, rate_limit=4)

    def statuses(key: str, count: int) -> list[int]:
        headers = {"X-API-Key": key}
        return [
            client.post("/anomaly", json=ROW, headers=headers).status_code for _ in range(count)
        ]

    assert statuses(limited, 5) == [200] * 3 + [429] * 2
    assert statuses(other, 5) == [200] * 4 + [429]
    refused = client.post("/anomaly", json=ROW, headers={"X-API-Key": limited})
    assert 1 <= int(refused.headers["Retry-After"]) <= 62
    assert client.get("/health/live", headers={"X-API-Key": limited}).status_code == 200


def test_without_keys_the_limit_is_for_everybody_together(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, rate_limit=2)
    found = [client.post("/anomaly", json=ROW).status_code for _ in range(3)]
    assert found == [200, 200, 429]


def test_keys_come_and_go_while_the_service_runs(
    press_line: Bundle, make: MakeKey, make_app: Callable[..., FastAPI], tmp_path: Path
) -> None:
    """Over real HTTP, with the application's own watch."""
    app = make_app(press_line.folder)
    with running(app) as address:

        def status(key: str | None) -> int:
            headers = {"Content-Type": "application/json"} | (
                {} if key is None else {"X-API-Key": key}
            )
            ask = Ask(f"{address}anomaly", json.dumps(ROW).encode(), headers)
            try:
                with urlopen(ask) as answer:
                    return int(answer.status)
            except OSError as error:
                return int(getattr(error, "code", 0))

        def becomes(key: str | None, wanted: int) -> bool:
            pause = threading.Event()
            for _ in range(100):
                if status(key) == wanted:
                    return True
                pause.wait(0.1)
            return False

        assert becomes(None, 200)
        first = make()
        assert becomes(None, 401)
        assert status(first) == 200
        second = make()
        assert becomes(second, 200)
        file = KeyFile(tmp_path / "cache" / "keys.json")
        file.revoke(_id(first))
        assert becomes(first, 401)
        assert status(second) == 200

        file.path.unlink()
        pause = threading.Event()
        notes: list[str] = []
        for _ in range(100):
            asked = Ask(f"{address}health/ready", headers={"X-API-Key": second})
            with urlopen(asked) as answer:
                notes = json.load(answer)["notes"]
            if notes:
                break
            pause.wait(0.1)
        assert any("no file of keys" in note for note in notes)
        assert (status(second), status(first), status(None)) == (200, 401, 401)


def test_a_service_without_keys_answers_other_machines_only_when_told_to(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    """However it was started: under a bare uvicorn nobody else looks at the address."""

    def status(app: FastAPI, server: str) -> int:
        async def at(scope: Any, receive: Any, send: Any) -> None:
            scope["server"] = (server, 8000)
            await app(scope, receive, send)

        client = TestClient(at, base_url="http://localhost:8000")
        return int(client.post("/anomaly", json=ROW).status_code)

    closed = make_app(press_line.folder)
    assert [status(closed, host) for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == [200] * 3
    assert [status(closed, host) for host in ("192.0.2.7", "2001:db8::7")] == [401] * 2
    opened = make_app(press_line.folder, allow_anonymous=True)
    assert status(opened, "192.0.2.7") == 200


def test_letting_everybody_in_opens_nothing_where_there_are_keys(
    press_line: Bundle, make: MakeKey, make_client: MakeClient
) -> None:
    make()
    client = make_client(press_line.folder, allow_anonymous=True)
    assert client.post("/anomaly", json=ROW).status_code == 401


def test_a_named_file_that_is_not_there_lets_nobody_in(
    press_line: Bundle, make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(press_line.folder, keys_file=tmp_path / "nowhere.json")
    assert client.post("/anomaly", json=ROW).status_code == 401


def test_a_web_socket_is_closed_as_nothing_would_ask_it_for_a_key(
    keyed: tuple[TestClient, str],
) -> None:
    client, _ = keyed
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/anomaly"):
        pass
