"""The cursor of a trend: moved by keys and pointer, and what it tells of a row."""

import re
from datetime import UTC, datetime

from playwright.sync_api import expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.pages.service import (
    OpenPage,
    send_and_wait,
    send_row,
    wait_for_points,
    wait_until_known,
)


def test_the_cursor_moves_by_keyboard_and_tells_values_and_shares(
    service: str, open_page: OpenPage
) -> None:
    send_and_wait(service, "press-4", ANOMALOUS_ROW)
    send_and_wait(service, "press-4", NORMAL_ROW, 4)
    page = open_page(f"{service}sources/press-4")
    wait_for_points(page, 5)
    chart, cursor = page.locator("#chart"), page.locator("#cursor")
    expect(cursor).to_contain_text("1.2 mm/s")
    chart.focus()
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuetext", re.compile("Anomaly"))
    expect(cursor).to_contain_text("Anomaly")
    expect(cursor.locator(".cursor-share")).to_have_count(3)
    expect(cursor).to_contain_text("expected")
    expect(cursor).not_to_contain_text("null")
    page.keyboard.press("ArrowRight")
    expect(cursor).to_contain_text("Normal")
    expect(cursor.get_by_text("expected")).to_have_count(3)  # told by the model that serves
    page.keyboard.press("Escape")
    expect(page.locator("#chart-cursor")).to_be_hidden()


def test_arrow_keys_go_on_from_where_a_click_holds_the_cursor(
    service: str, open_page: OpenPage
) -> None:
    send_and_wait(service, "press-c", NORMAL_ROW, 5)
    page = open_page(f"{service}sources/press-c")
    wait_for_points(page, 5)
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("aria-valuenow", "4")
    page.locator("#chart .draglayer .nsewdrag").first.click(position={"x": 2, "y": 100})
    expect(chart).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowRight")
    expect(chart).to_have_attribute("aria-valuenow", "1")


def test_rows_of_one_time_are_all_shown_and_reached(service: str, open_page: OpenPage) -> None:
    at = datetime.now(UTC).isoformat()

    def rows(count: int) -> None:
        for _ in range(count):
            send_row(service, {"values": NORMAL_ROW, "source": "press-t", "timestamp": at})

    rows(2)
    wait_until_known(service, "press-t")
    page = open_page(f"{service}sources/press-t")
    wait_for_points(page, 2)
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    for count in (3, 4):  # each told by an event of its own
        rows(1)
        wait_for_points(page, count)
    expect(page.locator("#cursor").get_by_text("expected")).to_have_count(3)
    chart = page.locator("#chart")
    chart.focus()
    page.keyboard.press("Home")
    for place in range(4):
        expect(chart).to_have_attribute("aria-valuenow", str(place))
        expect(page.locator("#cursor").get_by_text("expected")).to_have_count(3)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuenow", "2")


def test_what_is_expected_of_new_rows_is_told_as_they_come(
    service: str, open_page: OpenPage
) -> None:
    send_and_wait(service, "press-8", NORMAL_ROW, 2)
    page = open_page(f"{service}sources/press-8")
    wait_for_points(page, 2)
    expect(page.locator("#cursor").get_by_text("expected")).to_have_count(3)
    send_and_wait(service, "press-8", NORMAL_ROW)
    wait_for_points(page, 3)
    expect(page.locator("#cursor").get_by_text("expected")).to_have_count(3)  # of the newest row
    expect(page.locator("#expected-about")).to_be_empty()
