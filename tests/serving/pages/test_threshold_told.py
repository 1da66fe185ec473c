"""A threshold that changes while pages are open: they are told, and ask only where no stream is."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import Request as Asked

from kizashi.runtime.bundle import Bundle
from tests.bundles import NORMAL_ROW
from tests.serving.pages.service import OpenPage, application, decide, running
from tests.serving.services import running as workers

PLACES = ["", "alarms", "sources/press-1", "models", "notifications", "try"]
AT_ONCE = 4_000
"""Milliseconds: a worker follows within a second, and looks each second whom to tell."""
ASKED_EVERY = 5_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("two")
    with workers(bundle.folder, folder, workers=2, poll_seconds=0.2) as found:
        found.score(NORMAL_ROW, source="press-1")
        yield f"http://127.0.0.1:{found.port}/"


def asks_for_it(asked: Asked) -> bool:
    return urlsplit(asked.url).path == "/api/threshold"


def hears(page: Page) -> None:
    """Until the page's stream has told it something."""
    page.wait_for_timeout(1_500)


def test_every_open_page_is_told_at_once_by_either_worker(
    service: str, bundle: Bundle, open_page: OpenPage
) -> None:
    pages = [open_page(f"{service}{place}") for place in PLACES]
    hears(pages[-1])
    decide(service, bundle.hash, 1234.0)
    for page in pages:
        said = page.locator("#set-by-hand")
        expect(said).to_contain_text("set by hand: 1,234", timeout=AT_ONCE)
    decide(service, bundle.hash, None)
    for page in pages:
        expect(page.locator("#set-by-hand")).to_be_hidden(timeout=AT_ONCE)


def test_a_page_that_hears_does_not_ask(service: str, open_page: OpenPage) -> None:
    pages = [open_page(f"{service}{place}") for place in [*PLACES, "threshold"]]
    hears(pages[-1])
    asked: list[str] = []
    for page in pages:
        page.on("request", lambda one: asked.append(one.url) if asks_for_it(one) else None)
    pages[-1].wait_for_timeout(2.2 * ASKED_EVERY)
    assert asked == []


def test_a_page_without_a_stream_asks(service: str, bundle: Bundle, open_page: OpenPage) -> None:
    page = open_page(f"{service}models")
    page.route("**/api/events*", lambda route: route.abort())
    page.reload()
    decide(service, bundle.hash, 55.0)
    expect(page.locator("#set-by-hand")).to_contain_text("set by hand: 55", timeout=15_000)
    decide(service, bundle.hash, None)
    expect(page.locator("#set-by-hand")).to_be_hidden(timeout=15_000)


def test_without_a_history_there_is_no_stream_and_a_page_asks(
    tmp_path: Path, bundle: Bundle, open_page: OpenPage
) -> None:
    with running(application(tmp_path, bundle.folder, database_url="none")) as address:
        page = open_page(f"{address}models")
        decide(address, bundle.hash, 55.0)
        expect(page.locator("#set-by-hand")).to_contain_text("set by hand: 55", timeout=15_000)
