"""Signing in with a key, in a real browser against the real service."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, expect

from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.bundles import press_line_bundle
from tests.serving.pages.conftest import PATIENCE
from tests.serving.pages.service import OpenPage, application, running


class Service:
    def __init__(self, address: str, file: KeyFile) -> None:
        self.address = address
        self.file = file
        record, self.key = make_key("line-2", ["score"])
        self.id = record.id
        file.add(record)
        self._wait_for(200)

    def revoke(self) -> None:
        self.file.revoke(self.id)
        self._wait_for(401)

    def _wait_for(self, status: int) -> None:
        """The service follows the file of keys within about a second."""
        ask = Request(f"{self.address}model", headers={"X-API-Key": self.key})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urlopen(ask) as answer:
                    found = answer.status
            except HTTPError as error:
                found = error.code
                error.close()
            if found == status:
                return
            time.sleep(0.1)
        raise AssertionError(f"the key is answered with {found}, not {status}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    press_line_bundle(made / "bundle")
    KeyFile(made / "cache" / "keys.json").add(make_key("first", ["score"])[0])
    return made


@pytest.fixture(scope="module")
def running_service(folder: Path) -> Iterator[str]:
    with running(application(folder, folder / "bundle")) as address:
        yield address


@pytest.fixture
def service(folder: Path, running_service: str) -> Service:
    return Service(running_service, KeyFile(folder / "cache" / "keys.json"))


def _sign_in(page: Page, key: str) -> None:
    page.locator("#key").fill(key)
    page.locator("main button[type=submit]").click()
    page.wait_for_load_state()


def test_who_signs_in_can_score_and_who_signs_out_cannot(
    service: Service, open_page: OpenPage
) -> None:
    page = open_page(service.address)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    _sign_in(page, service.key)
    assert page.url == service.address
    page.get_by_role("link", name="Try", exact=True).click()
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#verdict .word")).to_have_text("Normal")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []


def test_the_key_is_in_a_cookie_that_scripts_cannot_read_and_nowhere_else(
    service: Service, open_page: OpenPage
) -> None:
    page = open_page(service.address)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    _sign_in(page, service.key)
    (cookie,) = page.context.cookies()
    assert cookie.get("value") == service.key
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert cookie.get("expires") == -1  # with the browser, unless it is to stay
    assert page.evaluate("document.cookie") == ""
    assert service.key not in page.content()
    assert not any(service.key in address for address in addresses)


def test_a_stream_of_events_ends_within_seconds_of_its_key(service: Service) -> None:
    ask = Request(f"{service.address}api/events", headers={"X-API-Key": service.key})
    with urlopen(ask, timeout=30) as stream:
        assert stream.readline().startswith(b"retry")
        service.revoke()
        assert b"event: hello" in stream.read()  # it comes to an end


def test_a_sign_in_can_stay(service: Service, open_page: OpenPage) -> None:
    page = open_page(service.address)
    page.get_by_label("Stay signed in").check()
    _sign_in(page, service.key)
    (cookie,) = page.context.cookies()
    assert 29 * 86_400 < cookie.get("expires", -1) - time.time() <= 30 * 86_400


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "does not open the service"), ("ja", "このキーでは利用できません")],
)
def test_a_wrong_key_is_said_beside_its_field(
    service: Service, open_page: OpenPage, language: str, said: str
) -> None:
    page = open_page(service.address, language=language, width=360)
    _sign_in(page, service.key[:-6] + "AAAAAA")
    expect(page.locator("#key-wrong")).to_contain_text(said)
    expect(page.locator("#key")).to_be_focused()
    assert page.locator("#key").input_value() == ""
    page.wait_for_load_state()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_after_signing_in_comes_the_page_that_was_asked_for_and_its_assets_work(
    service: Service, open_page: OpenPage
) -> None:
    """The API's documentation runs under its policy, and asks with the cookie."""
    page = open_page(f"{service.address}docs?x=1")
    _sign_in(page, service.key)
    assert page.url == f"{service.address}docs?x=1"
    expect(page.locator(".opblock-summary-path").first).to_be_visible()
    expect(page.get_by_role("button", name="Authorize")).to_be_visible()


def test_redoc_works_without_what_it_would_fetch_from_elsewhere(
    service: Service, browser: Browser
) -> None:
    with browser.new_context(extra_http_headers={"X-API-Key": service.key}) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{service.address}redoc")
        expect(page.get_by_role("heading", name="Kizashi").first).to_be_visible()
    assert all("redoc.ly" in text for text in said if "Content Security Policy" in text)


def test_a_deeper_address_finds_the_style_and_leads_back(
    service: Service, open_page: OpenPage
) -> None:
    page = open_page(f"{service.address}docs/oauth2-redirect/?a=b")
    box = page.locator("main .panel").bounding_box()
    assert box is not None
    assert box["width"] < 700  # the style has come
    page.get_by_role("link", name="日本語").click()
    expect(page.get_by_role("heading", name="サインイン")).to_be_visible()


@pytest.mark.parametrize(
    "after", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\r\nX: y"]
)
def test_signing_in_leads_to_no_other_site(
    service: Service, open_page: OpenPage, after: str
) -> None:
    page = open_page(service.address)
    page.evaluate(
        "after => document.querySelector('[name=after]').setAttribute('value', after)", after
    )
    _sign_in(page, service.key)
    assert page.url.startswith(service.address)
    assert page.context.cookies() != []


def test_a_link_on_another_site_finds_who_is_signed_in(service: Service, browser: Browser) -> None:
    elsewhere = "http://elsewhere.example/"
    link = f'<a href="{service.address}docs">there</a>'
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(service.address)
        _sign_in(page, service.key)
        page.route(elsewhere, lambda route: route.fulfill(body=link, content_type="text/html"))
        page.goto(elsewhere)
        page.get_by_role("link", name="there").click()
        expect(page.locator(".opblock-summary-path").first).to_be_visible()
        assert page.url == f"{service.address}docs"


def test_a_page_whose_key_was_revoked_says_so(service: Service, open_page: OpenPage) -> None:
    page = open_page(f"{service.address}try")
    _sign_in(page, service.key)
    service.revoke()
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.get_by_text("Your sign-in has ended").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.locator("#key-wrong").inner_text() != ""


def test_another_site_cannot_sign_anybody_in_or_out(service: Service, open_page: OpenPage) -> None:
    page = open_page(f"{service.address}static/mark.svg")
    for path in ("sign-in", "sign-out"):
        answer = page.request.post(
            service.address + path,
            form={"key": service.key},
            headers={"Origin": "https://evil.example"},
        )
        assert answer.status == 403
        assert "set-cookie" not in answer.headers


def test_without_keys_there_is_no_sign_in(tmp_path: Path, open_page: OpenPage) -> None:
    press_line_bundle(tmp_path / "bundle")
    with running(application(tmp_path, tmp_path / "bundle")) as address:
        page = open_page(f"{address}sign-in")
        assert page.url == address
        assert page.get_by_role("button", name="Sign out").count() == 0


def test_who_has_not_signed_in_reads_nothing_of_a_threshold_that_was_set(tmp_path: Path) -> None:
    record, key = make_key("the night shift", ["admin"])
    KeyFile(tmp_path / "cache" / "keys.json").add(record)
    press_line_bundle(tmp_path / "bundle")
    with TestClient(application(tmp_path, tmp_path / "bundle")) as client:
        known = {"X-API-Key": key, "Accept": "text/html"}
        now = client.get("/api/threshold", headers=known).json()
        change = {"bundle": now["bundle"], "value": 7.5, "comment": "of the test"}
        assert client.post("/api/threshold", json=change, headers=known).status_code == 200
        assert "the night shift" in client.get("/try", headers=known).text
        unknown = client.get("/try", headers={"Accept": "text/html"})
        assert unknown.status_code == 401
        assert "the night shift" not in unknown.text and "7.5" not in unknown.text
