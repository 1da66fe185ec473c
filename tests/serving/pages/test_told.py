"""Who was told of an alarm, on a card that is made anew while the page asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.bundles import ANOMALOUS_ROW
from tests.serving.pages.service import OpenPage, application, running, send


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[str]:
    app = application(folder, folder / "bundle", alarm_rules=folder / "rules.yaml")
    with running(app) as address:
        send(address, "press-1", ANOMALOUS_ROW, 3)
        yield address


def answer(route: Route, state: str) -> None:
    """What is known of the alarm, and of one message about it."""
    asked = route.fetch()
    found = asked.json()
    message = {
        "channel": "phone", "event": "began", "at": found["began"], "stop": False, "state": state,
        "attempts": 1, "done": None, "failed": None, "problem": None, "answer": None,
        "seen_by": None,
    }  # fmt: skip
    route.fulfill(response=asked, json={**found, "deliveries": [message]})


def test_the_newest_answer_is_shown_whichever_card_asked_for_it(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}try")
    held: list[Route] = []
    holds = False

    def one(route: Route) -> None:
        if holds:
            held.append(route)
        else:
            answer(route, "waiting")

    page.route("**/api/occurrences/*", one)
    page.goto(f"{service}sources/press-1")
    told = page.locator(".told summary")
    expect(told).to_have_text("0 of 1 messages arrived · 1 waiting")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    holds = True
    while not held:
        page.wait_for_timeout(50)
    send(service, "press-2", ANOMALOUS_ROW, 3)  # has every card made anew
    while len(held) < 2:
        page.wait_for_timeout(50)
    page.route("**/api/alarms", lambda route: route.abort())
    for route in held:
        answer(route, "sent")
    expect(told).to_have_text("1 of 1 messages arrived")
