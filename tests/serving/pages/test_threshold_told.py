"""A threshold that changes while pages are open: they are told, and ask only where no stream is."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request as Asked
from playwright.sync_api import Route, expect

from kizashi.runtime.bundle import Bundle
from tests.bundles import NORMAL_ROW
from tests.serving.pages.service import OpenPage, application, decide, running
from tests.serving.services import running as workers

PLACES = ["", "alarms", "sources/press-1", "models", "notifications", "try"]
ASKED_EVERY = 5_000
"""Milliseconds, by a page that no stream tells."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("two")
    with workers(bundle.folder, folder, workers=2, poll_seconds=0.2) as found:
        found.score(NORMAL_ROW, source="press-1")
        yield f"http://127.0.0.1:{found.port}/"


def asks_for_it(asked: Asked) -> bool:
    return urlsplit(asked.url).path == "/api/threshold"


def test_every_open_page_is_told_by_either_worker(
    service: str, bundle: Bundle, open_page: OpenPage
) -> None:
    pages = [open_page(f"{service}{place}") for place in PLACES]
    for page in pages:
        page.route("**/api/threshold", lambda route: route.abort())  # its stream alone can tell
    decide(service, bundle.hash, 1234.0)
    for page in pages:
        said = page.locator("#set-by-hand")
        expect(said).to_contain_text("set by hand: 1,234")
    decide(service, bundle.hash, None)
    for page in pages:
        expect(page.locator("#set-by-hand")).to_be_hidden()


def test_a_worker_that_does_not_follow_yet_is_asked_again(
    service: str, bundle: Bundle, open_page: OpenPage
) -> None:
    page = open_page(f"{service}threshold")
    expect(page.locator("#changes")).not_to_be_empty()
    before = page.request.get(f"{service}api/threshold").text()
    behind = 3

    def answer(route: Route) -> None:
        nonlocal behind
        behind -= 1
        if behind >= 0:
            route.fulfill(body=before, content_type="application/json")
        else:
            route.continue_()

    page.route("**/api/threshold", answer)
    decide(service, bundle.hash, 66.0)
    expect(page.locator("#by-hand")).to_contain_text("66, set by")
    decide(service, bundle.hash, None)
    expect(page.locator("#by-hand")).to_be_empty()


def test_a_page_that_hears_does_not_ask(service: str, open_page: OpenPage) -> None:
    pages = [open_page(f"{service}{place}") for place in [*PLACES, "threshold"]]
    asked: list[str] = []
    for page in pages:
        page.on("request", lambda one: asked.append(one.url) if asks_for_it(one) else None)
    for _ in range(5):  # on a slow machine the streams are not there at once
        asked.clear()
        pages[-1].wait_for_timeout(2.2 * ASKED_EVERY)
        if not asked:
            break
    assert asked == []


def test_a_page_without_a_stream_asks(service: str, bundle: Bundle, open_page: OpenPage) -> None:
    page = open_page(f"{service}models")
    page.route("**/api/events*", lambda route: route.abort())
    page.reload()
    decide(service, bundle.hash, 55.0)
    expect(page.locator("#set-by-hand")).to_contain_text("set by hand: 55")
    decide(service, bundle.hash, None)
    expect(page.locator("#set-by-hand")).to_be_hidden()


def test_without_a_history_there_is_no_stream_and_a_page_asks(
    tmp_path: Path, bundle: Bundle, open_page: OpenPage
) -> None:
    with running(application(tmp_path, bundle.folder, database_url="none")) as address:
        page = open_page(f"{address}models")
        decide(address, bundle.hash, 55.0)
        expect(page.locator("#set-by-hand")).to_contain_text("set by hand: 55")
