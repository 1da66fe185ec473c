"""What an operator sees first of a machine: its alarm, its newest row, and which sensor it was."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.pages.service import OpenPage, application, running, send_and_wait

AT_ONCE = "default: {warm_up: {seconds: 0}}\n"
LIBRARY = "**/static/plotly/*.js"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("first")
    press_line_bundle(folder / "bundle")
    (folder / "rules.yaml").write_text(AT_ONCE, encoding="utf-8")
    app = application(folder, folder / "bundle", alarm_rules=folder / "rules.yaml")
    with running(app) as address:
        send_and_wait(address, "press-1", NORMAL_ROW, 3)
        send_and_wait(address, "press-1", ANOMALOUS_ROW, 3)
        yield address


def test_alarm_and_newest_row_are_there_before_the_library_that_draws(
    service: str, open_page: OpenPage
) -> None:
    held: list[Route] = []
    page = open_page(service)

    def hold(route: Route) -> None:
        held.append(route)

    page.route(LIBRARY, hold)
    page.goto(f"{service}sources/press-1", wait_until="commit")
    expect(page.locator("#alarms .state-word")).to_have_text("Alarm")
    expect(page.locator("#cursor .cursor-share")).to_have_count(3)
    while not held:
        page.wait_for_timeout(50)
    expect(page.locator("#chart .main-svg")).to_have_count(0)
    for route in held:
        route.continue_()
    expect(page.locator("#chart .scatterlayer .js-line").first).to_be_attached()


def test_a_library_that_does_not_come_is_said_and_asked_for_again(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(service)
    page.route(LIBRARY, lambda route: route.abort())
    page.goto(f"{service}sources/press-1")
    expect(page.locator("#problem")).to_contain_text("The service did not answer")
    expect(page.locator("#alarms .state-word")).to_have_text("Alarm")
    page.unroute_all()
    expect(page.locator("#chart .scatterlayer .js-line").first).to_be_attached()
    expect(page.locator("#problem")).to_be_empty()


def test_the_shares_of_an_anomaly_are_told_as_it_comes(service: str, open_page: OpenPage) -> None:
    send_and_wait(service, "press-2", NORMAL_ROW, 2)
    page = open_page(f"{service}sources/press-2")
    cursor = page.locator("#cursor")
    expect(cursor).to_contain_text("Normal")
    send_and_wait(
        service, "press-2", ANOMALOUS_ROW
    )  # no alarm yet, which would have all read again
    expect(cursor).to_contain_text("Anomaly")
    expect(cursor.locator(".cursor-share")).to_have_count(3)
    expect(cursor.get_by_text("expected")).to_have_count(3)


def test_a_tile_does_not_tell_a_score_as_a_part_of_the_threshold(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(service)
    last = page.get_by_role("link", name="press-1").locator(".tile-last")
    expect(last).to_have_text(re.compile(r"Anomaly, score [\d.]+, threshold [\d.]+$"))


@pytest.mark.parametrize(
    ("language", "more"), [("en", "Sensors not listed: 181"), ("ja", "ほかに 181 個のセンサー")]
)
def test_of_many_sensors_those_with_the_largest_shares_are_listed_until_all_are_asked_for(
    service: str, open_page: OpenPage, language: str, more: str
) -> None:
    page = open_page(service, language=language)

    def many(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        first = told["sensors"][0]
        first["share"] = [None if one is None else 0.001 for one in first["share"]]
        told["sensors"] = [{**first, "name": f"zone-{at:03}"} for at in range(187)]
        told["sensors"][150]["share"] = [None if one is None else 0.8 for one in first["share"]]
        route.fulfill(response=answer, json=told)

    page.route("**/api/series?*", many)
    page.goto(f"{service}sources/press-1")
    listed = page.locator("#cursor .shares > li")
    expect(listed).to_have_count(6)
    expect(listed.first).to_contain_text("zone-150")
    expect(page.locator("#cursor")).to_contain_text(more)
    page.locator("#all-sensors").click()
    expect(listed).to_have_count(187)
    expect(page.locator("#cursor")).not_to_contain_text(more)
