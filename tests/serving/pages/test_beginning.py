"""What happens while a page is being opened: after it was first read, and before its stream of
events has begun."""

import json
import time

import pytest
from playwright.sync_api import Page, Route, expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.pages.service import (
    OpenPage,
    send,
    send_and_wait,
    wait_for_points,
)


def wait_for_rows(page: Page, address: str, source: str, count: int) -> None:
    """Until so many are written, which is within half a second."""
    deadline = time.monotonic() + 60
    asked = f"{address}api/series?source={source}&start=2020-01-01T00:00:00Z&resolution=raw"
    while len(found := json.loads(page.request.get(asked).text())["time"]) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_what_came_before_the_stream_began_is_shown(service: str, open_page: OpenPage) -> None:
    send_and_wait(service, "press-1", NORMAL_ROW)
    page = open_page(f"{service}try")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/events*", hold)
    page.goto(f"{service}sources/press-1")
    wait_for_points(page, 1)
    expect(page.locator("#alarms .state-word")).to_have_text("Normal")
    send(service, "press-1", ANOMALOUS_ROW, 3)
    send(service, "press-1", NORMAL_ROW)
    wait_for_rows(page, service, "press-1", 5)
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    wait_for_points(page, 5)
    expect(page.locator("#alarms .state-word")).to_have_text("Alarm")


@pytest.mark.parametrize("asked", ["series", "alarms"])
def test_what_could_not_be_read_at_first_is_read_again(
    service: str, open_page: OpenPage, asked: str
) -> None:
    send_and_wait(service, "press-2", NORMAL_ROW)
    page = open_page(f"{service}try")
    page.route(
        f"**/api/{asked}*",
        lambda route: route.fulfill(status=503, json={"detail": "away"}),
        times=1,
    )
    page.goto(f"{service}sources/press-2")
    expect(page.locator("#problem")).to_contain_text("cannot be reached")
    expect(page.locator("#cursor")).to_contain_text("mm/s")
    expect(page.locator("#alarms .state-word")).to_have_text("Normal")
    expect(page.locator("#problem")).to_be_empty()


def test_what_is_expected_is_asked_for_again(service: str, open_page: OpenPage) -> None:
    send_and_wait(service, "press-3", NORMAL_ROW)
    page = open_page(f"{service}try")
    page.route(
        "**/api/expected*",
        lambda route: route.fulfill(status=503, json={"detail": "away"}),
        times=1,
    )
    page.goto(f"{service}sources/press-3")
    expect(page.locator("#expected-about")).not_to_be_empty()
    expect(page.locator("#expected-about")).to_be_empty()
    expect(page.locator("#cursor").get_by_text("expected")).to_have_count(3)
