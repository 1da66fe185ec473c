"""What browsers are told of pages, and which other origins may ask."""

import re

import pytest
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from tests.serving.conftest import MakeClient

BOARD = "https://board.example"


def _policy(client: TestClient, path: str) -> dict[str, str]:
    policy = client.get(path).headers["Content-Security-Policy"]
    return {name: rest for name, _, rest in (one.partition(" ") for one in policy.split("; "))}


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
def test_a_page_runs_no_inline_script_and_is_shown_in_no_other_page(
    client: TestClient, path: str
) -> None:
    policy = _policy(client, path)
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert policy["frame-ancestors"] == "'self'"
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_only_the_documentation_may_run_its_own_one_script(client: TestClient) -> None:
    assert _policy(client, "/")["script-src"] == "'self'"
    assert re.fullmatch(r"'self' 'sha256-[^']+'", _policy(client, "/docs")["script-src"])


@pytest.mark.parametrize("path", ["/model", "/health/ready", "/static/page.css", "/openapi.json"])
def test_what_is_no_page_is_not_taken_for_one(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in answer.headers


def _preflight(client: TestClient, origin: str) -> dict[str, str]:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    return dict(client.options("/anomaly", headers=headers).headers)


def test_no_other_origin_may_ask_by_default(client: TestClient) -> None:
    assert "access-control-allow-origin" not in _preflight(client, BOARD)
    answer = client.get("/health/live", headers={"Origin": BOARD})
    assert "access-control-allow-origin" not in answer.headers


def test_named_origins_may_ask_with_a_key_and_others_may_not(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, cors_origins=f"{BOARD}, http://localhost:3000")
    allowed = _preflight(client, BOARD)
    assert allowed["access-control-allow-origin"] == BOARD
    assert "x-api-key" in allowed["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in allowed
    assert "access-control-allow-origin" not in _preflight(client, "https://evil.example")

    headers = {"Origin": BOARD, "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/anomaly", json={"values": [1.2, 0.9, 1.1]}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == BOARD
    assert "X-Model-Version" in answer.headers["access-control-expose-headers"]


def test_errors_can_be_read_by_named_origins_too(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, cors_origins=BOARD)
    answer = client.post("/anomaly", json={}, headers={"Origin": BOARD})
    assert answer.status_code == 422
    assert answer.headers["access-control-allow-origin"] == BOARD
