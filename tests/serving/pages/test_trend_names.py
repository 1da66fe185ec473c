"""The names of alarms in the drawing of a source: none stands on another."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from playwright.sync_api import Route, expect

from tests.bundles import NORMAL_ROW, press_line_bundle
from tests.serving.pages.service import OpenPage, application, running, send_and_wait

PLACES = """(names) => names.map((one) => one.getBoundingClientRect())
    .map(({ left, right }) => [left, right])"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("names")
    press_line_bundle(folder / "bundle")
    with running(application(folder, folder / "bundle")) as address:
        send_and_wait(address, "press-1", NORMAL_ROW, 3)
        yield address


def test_an_alarm_at_the_right_edge_does_not_cover_the_name_of_one_before_it(
    service: str, open_page: OpenPage
) -> None:
    def with_alarms(route: Route) -> None:
        answer = route.fetch()
        now = datetime.now(UTC)
        began = {"anomaly": now - timedelta(seconds=122), "silence": now - timedelta(seconds=2)}
        spans = [
            {"id": number, "kind": kind, "began": at.isoformat(), "ended": None, "sensor": None}
            for number, (kind, at) in enumerate(began.items())
        ]
        route.fulfill(response=answer, json={**answer.json(), "spans": spans})

    page = open_page(f"{service}alarms")
    page.route("**/api/series*", with_alarms)
    page.goto(f"{service}sources/press-1")
    names = page.locator("#chart .annotation-text", has_text="▲")
    expect(names.first).to_be_visible()
    boxes = sorted(names.evaluate_all(PLACES))  # at one moment: they move with the clock
    expect(names.first).to_contain_text("Anomaly")  # the one before is the one that stays
    assert all(end <= start for (_, end), (start, _) in pairwise(boxes))
