"""The overview while it is told of rows and asks for all sources at the same time."""

from playwright.sync_api import expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.pages.late import Late
from tests.serving.pages.service import OpenPage, send, send_and_wait


def test_a_row_that_was_told_meanwhile_stays(service: str, open_page: OpenPage) -> None:
    send_and_wait(service, "press-1", NORMAL_ROW)
    page = open_page(service)
    last = page.get_by_role("link", name="press-1").locator(".tile-last")
    expect(last).to_contain_text("Normal, score")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    late = Late(page, "**/api/sources")
    send(service, "press-2", NORMAL_ROW)  # a new source has all asked for again
    late.wait()
    send(service, "press-1", ANOMALOUS_ROW)
    expect(last).to_contain_text("Anomaly, score")
    late.let_go()
    expect(last).to_contain_text("Anomaly, score")


def test_what_could_not_be_read_at_first_is_read_again(service: str, open_page: OpenPage) -> None:
    send_and_wait(service, "press-1", NORMAL_ROW)
    page = open_page(f"{service}try")
    page.route(
        "**/api/sources", lambda route: route.fulfill(status=503, json={"detail": "away"}), times=2
    )
    page.goto(service)
    expect(page.locator("#problem")).to_contain_text("cannot be reached")
    expect(page.get_by_role("link", name="press-1")).to_be_visible(timeout=30_000)
    expect(page.locator("#problem")).to_be_empty()
