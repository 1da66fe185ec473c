"""What browsers are kept from: pages of other sites, names that lead here, cookies of others."""

from collections.abc import Callable
from functools import partial

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.access import cookie_name
from tests.serving.access.conftest import ROW, MakeKey
from tests.serving.conftest import MakeClient


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/alarms", "/anomaly"])
@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("kizashi.localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.0.2.7", True),  # how a proxy on this machine may be reached
        ("evil.example", False),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8000", False),
    ],
)
def test_a_site_with_a_name_that_leads_here_is_no_page_of_a_service_without_keys(
    press_line: Bundle, make_client: MakeClient, path: str, host: str, let_in: bool
) -> None:
    def status(**settings: object) -> int:
        client = make_client(press_line.folder, database_url="none", **settings)
        ask = client.get if path != "/anomaly" else partial(client.post, json=ROW)
        return int(ask(path, headers={"Host": host, "Origin": f"http://{host}"}).status_code)

    assert (status() == 403) is not let_in
    assert status(allow_anonymous=True) != 403


SAME, OTHER = "http://testserver", "https://evil.example"
CROSS_SITE = [
    ({"Sec-Fetch-Site": "same-origin", "Origin": SAME}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Origin": OTHER}, 403),
    ({"Sec-Fetch-Site": "same-site", "Origin": SAME}, 403),
    ({"Origin": SAME}, 200),
    ({"Origin": OTHER}, 403),
    ({"Origin": "null"}, 403),
    ({}, 200),
]


@pytest.mark.parametrize(("headers", "status"), CROSS_SITE)
def test_a_cookie_opens_nothing_for_pages_of_other_sites(
    keyed: tuple[TestClient, str], headers: dict[str, str], status: int
) -> None:
    client, key = keyed
    headers = headers | {"Cookie": f"kizashi_key={key}"}
    assert client.post("/anomaly", json=ROW, headers=headers).status_code == status


@pytest.mark.parametrize(("headers", "status"), CROSS_SITE)
def test_a_service_without_keys_is_not_asked_by_pages_of_other_sites(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    assert client.post("/anomaly", json=ROW, headers=headers).status_code == status


def test_a_key_in_a_header_is_good_from_any_origin(keyed: tuple[TestClient, str]) -> None:
    client, key = keyed
    headers = {"X-API-Key": key, "Origin": OTHER, "Sec-Fetch-Site": "cross-site"}
    assert client.post("/anomaly", json=ROW, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"press.example", b"kizashi_key"),
        (b"press.example:8001", b"kizashi_key_8001"),
        (b"[::1]:8001", b"kizashi_key_8001"),
        (b"[fe80::1a]", b"kizashi_key"),
        (b"", b"kizashi_key"),
    ],
)
def test_services_on_two_ports_of_a_host_have_a_cookie_each(host: bytes, name: bytes) -> None:
    assert cookie_name(host) == name


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 401),
        (b"key=", 401),
        (b"key=%ff%00&after=%0d%0aX:%20y", 401),
        (b"\xff\xfe\x00", 401),
        (b"key=" + b"a" * 10_000, 401),
        (b"&".join([b"key=a"] * 50), 400),
        (b"key=" + b"a" * 100_000, 413),
    ],
)
def test_no_form_makes_the_sign_in_fail(
    keyed: tuple[TestClient, str], body: bytes, status: int
) -> None:
    answer = keyed[0].post("/sign-in", content=body)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_the_cookie_travels_over_https_alone_where_the_service_is_reached_by_it(
    press_line: Bundle, make: MakeKey, make_app: Callable[..., FastAPI]
) -> None:
    key, app = make(), make_app(press_line.folder)
    for base, secure in (("https://press.example", True), ("http://press.example", False)):
        client = TestClient(app, base_url=base, follow_redirects=False)
        answer = client.post("/sign-in", data={"key": key})
        assert answer.status_code == 303
        assert ("; Secure" in answer.headers["set-cookie"]) == secure


def test_below_a_path_of_a_proxy_rights_and_cookie_are_the_same(
    press_line: Bundle, make: MakeKey, make_app: Callable[..., FastAPI]
) -> None:
    key, app = make(), make_app(press_line.folder)
    client = TestClient(app, root_path="/line-2", follow_redirects=False)
    assert client.get("/line-2/model").status_code == 401
    assert client.get("/line-2/health/live").status_code == 200
    answer = client.post("/line-2/sign-in", data={"key": key, "after": "/docs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "./docs")
    assert "; Path=/line-2;" in answer.headers["set-cookie"]
    assert client.get("/line-2/model").status_code == 200
