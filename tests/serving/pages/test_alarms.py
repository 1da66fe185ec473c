"""The list of alarms on its page: filters, older pages and files, in a real browser."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from serving.history.database import Database
from tests.bundles import ANOMALOUS_ROW
from tests.occurrences import add_occurrences, many
from tests.serving.pages.service import OpenPage, application, running, send

COUNT, PAGE = 130, 50
OF_PRESS_02 = 22
"""Of them; a seventh are silence, and the others anomalies."""
WORDS = {
    "en": ("Older →", "← Newer", "Clear the filters", "No alarm matches these filters."),
    "ja": ("古い方へ →", "← 新しい方へ", "条件を消去", "条件に合うアラームはありません。"),
}


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[str]:
    """A service that had many alarms, all of them long ago."""
    app = application(folder, folder / "bundle", alarm_rules=folder / "rules.yaml")
    with running(app) as address:
        database: Database = app.state.history.database
        add_occurrences(database, many(COUNT))
        add_occurrences(database, [{"source": "=1+1", "label": None}])
        yield f"{address}alarms"


def _alarm(service: str, source: str) -> None:
    send(service.removesuffix("alarms"), source, ANOMALOUS_ROW, 3)


def _rows(page: Page) -> Locator:
    return page.locator("#past > tr")


def _began(page: Page) -> list[str]:
    times = page.locator("#past time").all()
    return [time.get_attribute("datetime") or "" for time in times]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_filters_are_in_the_address_and_the_back_button_undoes_them(
    service: str, open_page: OpenPage, language: str
) -> None:
    page = open_page(service, language=language, width=390)
    expect(_rows(page)).to_have_count(PAGE)
    page.locator("#filter-source").fill("press-02")
    expect(_rows(page)).to_have_count(OF_PRESS_02)
    page.locator("#filter-kind").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")  # all, anomaly, bad data, silence
    expect(page).to_have_url(re.compile(r"\?source=press-02&kind=silence$"))
    expect(_rows(page)).to_have_count(3)
    page.get_by_role("navigation").get_by_text("日本語" if language == "en" else "English").click()
    expect(_rows(page)).to_have_count(3)  # the other language asks for the same
    page.go_back()
    expect(_rows(page)).to_have_count(3)
    page.go_back()
    expect(page.locator("#filter-kind")).to_have_value("data_quality")
    for _ in range(2):
        page.go_back()
    expect(page.locator("#filter-kind")).to_have_value("")
    expect(_rows(page)).to_have_count(OF_PRESS_02)
    page.go_back()  # all letters of the name at once
    expect(page.locator("#filter-source")).to_have_value("")
    expect(_rows(page)).to_have_count(PAGE)


def test_what_is_typed_before_the_scripts_have_come_counts(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(service.replace("alarms", "try"))
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/static/filters.js", hold)
    page.goto(f"{service}?kind=silence&start=2026-09-21T15:00:00Z", wait_until="commit")
    page.locator("#filter-source").fill("press-02")
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(_rows(page)).to_have_count(2)
    expect(page.locator("#filter-source")).to_have_value("press-02")
    expect(page).to_have_url(re.compile("source=press-02&kind=silence&start=2026"))


@pytest.mark.parametrize(("language", "width"), [("en", 390), ("ja", 1440)])
def test_pages_are_turned_to_the_oldest_alarm_and_back(
    service: str, open_page: OpenPage, language: str, width: int
) -> None:
    older, newer, _, _ = WORDS[language]
    page = open_page(f"{service}?kind=anomaly", language=language, width=width)
    expect(_rows(page)).to_have_count(PAGE)
    expect(page.get_by_role("link", name=newer)).to_be_hidden()
    seen = _began(page)
    for count in (PAGE, 12):
        page.get_by_role("link", name=older).click()
        expect(_rows(page)).to_have_count(count)
        expect(page).to_have_url(re.compile(r"\?kind=anomaly&before=\d+\.\d+$"))
        expect(page.locator("#past-title")).to_be_focused()
        expect(page.locator("#past time").first).not_to_have_attribute("datetime", seen[-count])
        seen += _began(page)
    assert len(seen) == len(set(seen)) == 112
    assert seen == sorted(seen, reverse=True)
    expect(page.get_by_role("link", name=older)).to_be_hidden()
    page.reload()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.get_by_role("link", name=newer).click()
    expect(page.locator("#past time").first).to_have_attribute("datetime", seen[PAGE])
    page.get_by_role("link", name=newer).click()
    expect(page.locator("#past time").first).to_have_attribute("datetime", seen[0])
    expect(page).to_have_url(re.compile(r"\?kind=anomaly$"))  # the newest page, and live


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_file_has_all_that_the_filters_find(
    service: str, open_page: OpenPage, language: str
) -> None:
    page = open_page(f"{service}?kind=anomaly", language=language)
    expect(_rows(page)).to_have_count(PAGE)
    page.locator("#filter-acknowledged").select_option("true")
    name = {"en": "This list as {}", "ja": "この一覧を {} で保存"}[language]
    with page.expect_download() as download:
        page.get_by_role("link", name=name.format("CSV")).click()
    assert download.value.suggested_filename == "alarms.csv"
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"anomaly"}
    assert {row["acknowledged_by"] for row in rows} == {"shift-a"}
    expect(_rows(page)).to_have_count(len(rows))
    with page.expect_download() as download:
        page.get_by_role("link", name=name.format("Parquet")).click()
    table = pq.read_table(download.value.path())
    assert table.column("id").to_pylist() == [int(row["id"]) for row in rows]


def test_a_csv_has_no_formulas(service: str, open_page: OpenPage) -> None:
    page = open_page(f"{service}?source=%3D1%2B1")
    expect(_rows(page)).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="This list as CSV").click()
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        (listed,) = csv.DictReader(file)
    assert (listed["source"], listed["kind"]) == ("'=1+1", "anomaly")


@pytest.mark.parametrize(("language", "width"), [("en", 1440), ("ja", 390)])
def test_filters_that_find_nothing_say_so_and_offer_to_be_cleared(
    service: str, open_page: OpenPage, language: str, width: int
) -> None:
    _, _, clear, nothing = WORDS[language]
    page = open_page(f"{service}?kind=drift", language=language, width=width)
    expect(page.get_by_text(nothing)).to_be_visible()
    expect(page.locator("#past-table")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.get_by_role("link", name=clear).click()
    expect(_rows(page)).to_have_count(PAGE)
    expect(page.get_by_text(nothing)).to_be_hidden()
    expect(page).to_have_url(service)
    expect(page.locator("#filter-kind")).to_have_value("")


def test_a_time_is_the_readers_on_the_form_and_of_utc_in_the_address(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}?start=2026-09-21T15:00:00Z", timezone_id="Asia/Tokyo")
    expect(page.locator("#filter-start")).to_have_value("2026-09-22T00:00")
    page.locator("#filter-end").fill("2026-09-21T23:20")  # the first began at 23:13:20 here
    expect(page.get_by_text("No alarm matches these filters.")).to_be_visible()
    page.locator("#filter-start").fill("2026-09-21T23:15")
    expect(_rows(page)).to_have_count(5)
    expect(page).to_have_url(
        re.compile("start=2026-09-21T14%3A15%3A00.000Z&end=2026-09-21T14%3A20")
    )
    page.reload()
    expect(_rows(page)).to_have_count(5)
    expect(page.locator("#filter-end")).to_have_value("2026-09-21T23:20")


def test_news_enter_the_list_only_as_the_filters_ask_and_are_always_in_sight_above(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}?source=press-02&state=unacknowledged")
    expect(page.get_by_text("No alarm matches these filters.")).to_be_visible()
    _alarm(service, "press-90")
    expect(page.locator("#current")).to_contain_text("press-90")
    expect(page.get_by_text("No alarm matches these filters.")).to_be_visible()
    page.locator("#filter-source").fill("press-91")
    _alarm(service, "press-91")
    expect(_rows(page)).to_have_count(1)
    page.locator("#current .alarm", has_text="press-91").get_by_text("Acknowledge").click()
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("No alarm matches these filters.")).to_be_visible()


def test_a_label_is_kept_filtered_by_and_taken_back(service: str, open_page: OpenPage) -> None:
    page = open_page(f"{service}?source=%3D1%2B1")
    expect(_rows(page)).to_have_count(1)
    row = page.locator("#past tr")
    row.get_by_role("button", name="False").click()
    expect(row.get_by_role("button", name="False")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("True or false alarm").select_option("none")
    expect(page.get_by_text("No alarm matches these filters.")).to_be_visible()
    page.get_by_label("True or false alarm").select_option("false")
    row.get_by_role("button", name="False").click()
    expect(page.get_by_text("No alarm matches these filters.")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_without_scripts_filters_and_older_pages_work(
    service: str, open_page: OpenPage, language: str
) -> None:
    page = open_page(service, language=language, java_script_enabled=False)
    rows = page.locator(".past tbody tr")
    page.locator("#filter-kind").select_option("anomaly")
    page.locator("#filters button").click()
    expect(page).to_have_url(re.compile("kind=anomaly"))
    expect(page.locator("#filter-kind")).to_have_value("anomaly")
    expect(rows).to_have_count(PAGE)
    older, newer, clear, nothing = WORDS[language]
    page.get_by_role("link", name=older).click()
    page.get_by_role("link", name=older).click()
    expect(page.get_by_role("link", name=older)).to_have_count(0)
    assert 0 < rows.count() < PAGE
    page.get_by_role("link", name=newer).click()
    expect(rows).to_have_count(PAGE)
    assert "kind=anomaly" in page.url
    page.locator("#filter-kind").select_option("drift")
    page.locator("#filters button").click()
    expect(page.get_by_text(nothing)).to_be_visible()
    page.wait_for_load_state()  # before its styles have come both links are shown
    page.get_by_role("link", name=clear).click()
    expect(page).to_have_url(service)
    expect(rows).to_have_count(PAGE)
