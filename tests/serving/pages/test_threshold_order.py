"""The threshold on pages that hear of it in more than one way: what was asked for earlier does not
take the place of what was told later."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from kizashi.runtime.bundle import Bundle
from tests.bundles import press_line_bundle
from tests.serving.pages.late import Late
from tests.serving.pages.service import OpenPage, application, decide, running


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[str]:
    with running(application(tmp_path_factory.mktemp("order"), bundle.folder)) as address:
        yield address


def test_the_page_of_the_threshold_stays_with_what_the_stream_told(
    service: str, bundle: Bundle, open_page: OpenPage
) -> None:
    page = open_page(f"{service}try")
    late = Late(page, "**/api/threshold")
    page.goto(f"{service}threshold")
    late.wait()
    decide(service, bundle.hash, 66.0)
    expect(page.locator("#by-hand")).to_contain_text("66, set by")
    late.let_go()
    expect(page.locator("#by-hand")).to_contain_text("66, set by")
    expect(page.locator("#changes li")).to_have_count(1)


def test_any_page_stays_with_what_the_stream_told(
    service: str, bundle: Bundle, open_page: OpenPage
) -> None:
    page = open_page(f"{service}docs")
    late = Late(page, "**/api/threshold")
    streams: list[Route] = []

    def hold(route: Route) -> None:
        streams.append(route)

    page.route("**/api/events*", hold)
    page.goto(f"{service}try")
    late.wait()  # it asks as long as no stream tells
    decide(service, bundle.hash, 66.0)
    streams[0].continue_()
    expect(page.locator("#set-by-hand")).to_contain_text("set by hand: 66")
    late.let_go()
    expect(page.locator("#set-by-hand")).to_be_visible()


def test_a_note_of_another_version_stays_whatever_is_looked_at(
    tmp_path_factory: pytest.TempPathFactory, open_page: OpenPage
) -> None:
    folder = tmp_path_factory.mktemp("replaced")
    press_line_bundle(folder / "bundle")
    with running(application(folder, folder / "bundle")) as address:
        page = open_page(f"{address}threshold")
        expect(page.locator("#meaning tbody tr").first).to_be_visible()
        press_line_bundle(folder / "bundle", seed=1)
        expect(page.get_by_role("button", name="Show the new model")).to_be_visible()
        page.locator("#number").fill("5")
        expect(page.locator("#meaning")).not_to_have_attribute("aria-busy", "true")
        expect(page.get_by_role("button", name="Show the new model")).to_be_visible()


def test_a_worker_that_does_not_follow_yet_is_not_believed_for_long(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}try")
    page.route("**/api/events*", lambda route: route.abort())  # so it asks again and again

    def behind(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "bundle": "0" * 64, "version": "1"})

    page.route("**/api/threshold", behind, times=1)
    page.goto(f"{service}threshold")
    expect(page.locator("#replaced")).to_contain_text("now serves")
    expect(page.locator("#replaced")).to_be_empty()


def test_what_a_threshold_means_is_asked_again_where_nobody_answered(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}try")
    page.route("**/api/threshold/preview*", lambda route: route.fulfill(status=500), times=1)
    page.goto(f"{service}threshold")
    expect(page.locator("#problem")).not_to_be_empty()
    expect(page.locator("#meaning tbody tr").first).to_be_visible()
    expect(page.locator("#problem")).to_be_empty()
