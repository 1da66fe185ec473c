"""The pages for watching machines, in a real browser against the real service and its history."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, Route, expect

from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.pages.service import (
    SENDS,
    OpenPage,
    application,
    running,
    send_and_wait,
    wait_for_points,
)

BESIDE_THE_LAST_BUTTON = """() => {
    const card = document.querySelector(".alarm");
    const button = [...card.querySelectorAll(".alarm-actions button")].at(-1);
    return card.getBoundingClientRect().right - button.getBoundingClientRect().right;
}"""
HOSTILE = "<img src=x onerror=alert(1)>/../a b?c#d%2F&e"


def _alarm(address: str, source: str, sends: Mapping[str, str] = SENDS) -> None:
    """A source that is in alarm."""
    send_and_wait(address, source, NORMAL_ROW, 3, sends)
    send_and_wait(address, source, ANOMALOUS_ROW, 3, sends)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[str]:
    app = application(folder, folder / "bundle", alarm_rules=folder / "rules.yaml")
    with running(app) as address:
        _alarm(address, "press-9")
        yield address


def _sideways(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def _points(page: Page) -> int:
    """How many points the trend has."""
    return 1 + int(page.locator("#chart").get_attribute("aria-valuemax") or 0)


@pytest.mark.parametrize(("language", "width"), [("en", 390), ("ja", 1920)])
@pytest.mark.parametrize(
    ("path", "shown"),
    [("", ".tile"), ("alarms", "#past tr"), ("sources/press-9", "#chart .main-svg")],
)
def test_each_page_is_whole_in_both_languages_and_fits_its_window(
    service: str, open_page: OpenPage, path: str, shown: str, language: str, width: int
) -> None:
    page = open_page(f"{service}{path}", language=language, width=width)
    expect(page.locator(shown).first).to_be_visible()
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    said = page.locator("body").inner_text()
    assert "{" not in said
    assert not re.search("undefined|NaN|null", said)
    assert bool(re.search("[\u3040-\u30ff]", page.locator("main").inner_text())) is (
        language == "ja"
    )
    assert _sideways(page) <= 0


def test_an_alarm_from_its_first_anomaly_to_acknowledged_and_ended(
    service: str, open_page: OpenPage
) -> None:
    send_and_wait(service, "press-1", NORMAL_ROW, 3)
    page = open_page(service)
    tile = page.get_by_role("link", name="press-1")
    expect(tile).to_contain_text("Normal")
    send_and_wait(service, "press-1", ANOMALOUS_ROW, 3)
    expect(tile.locator(".tile-band")).to_contain_text("Alarm")  # by itself
    expect(tile).to_contain_text(re.compile("Anomaly · (vibration|current|sound)"))
    tile.click()
    page.get_by_role("button", name="Acknowledge: press-1").click()
    expect(page.get_by_label("Comment")).to_be_focused()
    page.keyboard.type("A worn bearing <b>?</b>")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#alarms .state-word")).to_have_text("Acknowledged")
    expect(page.locator("#alarms")).to_contain_text("A worn bearing <b>?</b>")
    send_and_wait(service, "press-1", NORMAL_ROW, 10)
    expect(page.locator("#alarms .state-word")).to_have_text("Normal")
    page.get_by_role("link", name="Alarms").click()
    page.get_by_label("Source").fill("press-1")
    row = page.locator("#past tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Ended")
    row.get_by_role("button", name="Details").click()
    expect(page.locator(".audit strong")).to_have_text(["Ended", "Acknowledged", "Began"])


def test_an_alarm_is_shelved_for_a_time_and_shown_again(service: str, open_page: OpenPage) -> None:
    _alarm(service, "press-2")
    page = open_page(f"{service}sources/press-2")
    page.get_by_role("button", name="Shelve").click()
    page.get_by_label("For how long").select_option(label="2 hr")
    page.get_by_role("dialog").get_by_role("button", name="Shelve").click()
    expect(page.locator("#alarms .state-word")).to_have_text("Shelved")
    expect(page.locator("#alarms")).to_contain_text("until")
    page.get_by_role("button", name="Show again").click()
    page.get_by_role("dialog").get_by_role("button", name="Show again").click()
    expect(page.locator("#alarms .state-word")).to_have_text("Alarm")


def test_names_and_notes_never_become_markup(service: str, open_page: OpenPage) -> None:
    _alarm(service, HOSTILE)
    page = open_page(service)
    page.locator(".tile", has_text=HOSTILE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator("#chart .main-svg").first).to_be_visible()
    page.locator("#note-text").fill(HOSTILE)
    page.get_by_role("button", name="Add the note").click()
    expect(page.locator("#notes li")).to_contain_text(HOSTILE)
    expect(page.locator("#chart .annotation-text", has_text="✎")).to_contain_text("<img src=x")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No notes in the time shown.")).to_be_visible()
    page.goto(f"{service}alarms")
    expect(page.locator("#current").get_by_role("link", name=HOSTILE)).to_be_visible()
    page.get_by_role("link", name="日本語").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("アラーム")


@pytest.mark.parametrize("name", ["..", ".", "a/b", "日本 1"])
def test_every_name_has_a_page(service: str, open_page: OpenPage, name: str) -> None:
    send_and_wait(service, name, NORMAL_ROW)
    page = open_page(service)
    page.locator(".tile").filter(has=page.get_by_text(name, exact=True)).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    wait_for_points(page, 1)


@pytest.mark.parametrize("width", [1280, 1920])
def test_what_can_be_done_stands_at_the_end_of_a_machines_card_in_and_out_of_alarm(
    service: str, open_page: OpenPage, width: int
) -> None:
    send_and_wait(service, "press-n", NORMAL_ROW)
    for source in ("press-n", "press-9"):
        page = open_page(f"{service}sources/{source}", width=width)
        expect(page.locator(".alarm .alarm-actions button").last).to_be_visible()
        room = page.evaluate(BESIDE_THE_LAST_BUTTON)  # at one moment: the card is made anew
        assert 0 < room < 40


def test_rows_that_another_version_judged_are_said_to_be(
    folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    with running(application(tmp_path, folder / "bundle")) as address:
        send_and_wait(address, "press-1", NORMAL_ROW, 2)
    press_line_bundle(tmp_path / "newer", seed=4)
    settings = {"database_url": f"sqlite:///{tmp_path}/cache/history.db"}
    with running(application(tmp_path / "new", tmp_path / "newer", **settings)) as address:
        page = open_page(f"{address}sources/press-1")
        expect(page.locator("#expected-about")).to_contain_text("judged by another version")
        expect(page.locator("#cursor").get_by_text("expected")).to_have_count(3)


def test_a_note_says_what_the_rows_of_its_time_were(service: str, open_page: OpenPage) -> None:
    send_and_wait(service, "press-n", NORMAL_ROW, 2)
    page = open_page(f"{service}sources/press-n", width=390)
    page.locator("#note-text").fill("the tool was blunt")
    page.locator("#note-label").select_option("true")
    page.locator("#note-add").click()
    expect(page.locator("#note-wrong")).to_have_text("Say until when its rows were that.")
    page.locator("#note-end").fill("2199-01-01T00:00:00")
    page.locator("#note-add").click()
    expect(page.locator("#notes")).to_contain_text("the tool was blunt Faulty.")
    assert _sideways(page) <= 0


def test_of_means_nothing_is_expected_and_the_page_says_so(
    service: str, open_page: OpenPage
) -> None:
    send_and_wait(service, "press-7", NORMAL_ROW, 2)

    def by_minute(route: Route) -> None:
        route.continue_(url=f"{route.request.url}&resolution=minute")

    page = open_page(f"{service}alarms")
    page.route("**/api/series*", by_minute)
    page.goto(f"{service}sources/press-7")
    expect(page.locator("#expected-about")).to_contain_text("not of means")
    expect(page.locator("#cursor").get_by_text("expected")).to_have_count(1)  # to zoom in for it


def test_the_range_goes_from_a_minute_to_a_year_and_back_to_now(
    service: str, open_page: OpenPage
) -> None:
    send_and_wait(service, "press-6", NORMAL_ROW, 2)
    page = open_page(f"{service}sources/press-6")
    for name in ("1 min", "1 year"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute(
            "aria-pressed", "true"
        )
        expect(page.locator("#trend-about")).to_have_text("Each row.")
    live = page.get_by_role("button", name="Live")
    page.get_by_role("button", name="Earlier").click()
    expect(live).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_text("No rows in this time.")).to_be_visible()
    page.reload()  # the range is in the address
    expect(live).to_have_attribute("aria-pressed", "false")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")


def test_dragging_over_the_drawing_zooms(service: str, open_page: OpenPage) -> None:
    page = open_page(f"{service}sources/press-9")
    expect(page.locator(".told")).not_to_be_empty()  # what stands above the drawing is there
    drawing = page.locator("#chart .draglayer .nsewdrag").first
    drawing.hover(position={"x": 200, "y": 60})
    page.mouse.down()
    drawing.hover(position={"x": 600, "y": 60}, force=True)  # beneath what shows the range
    page.mouse.up()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")
    expect(page).to_have_url(re.compile(r"[?&]start=.+&end="))


def test_a_page_heals_after_a_restart_and_fills_its_gap(
    folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    def app() -> FastAPI:
        return application(tmp_path, folder / "bundle", alarm_rules=folder / "rules.yaml")

    with running(app()) as address:
        send_and_wait(address, "press-1", NORMAL_ROW, 2)
        page = open_page(f"{address}sources/press-1")
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        wait_for_points(page, 2)
        send_and_wait(address, "press-1", NORMAL_ROW)
        wait_for_points(page, 3)
    expect(page.locator("#live")).to_have_text(re.compile("Connection lost"))
    expect(page.get_by_text("What is shown may be old")).to_be_visible()
    port = int(address.rstrip("/").rpartition(":")[2])
    with running(app(), port):
        _alarm(address, "press-1")
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        wait_for_points(page, 9)
        expect(page.locator("#alarms .state-word")).to_have_text("Alarm")
        expect(page.get_by_text("What is shown may be old")).to_have_count(0)


def test_before_the_first_row_the_overview_says_how_to_send_it(
    folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    with running(application(tmp_path, folder / "bundle")) as address:
        page = open_page(address, language="ja", width=390)
        expect(page.locator("#first-row")).to_contain_text(f"curl {address}anomaly")
        command = page.locator("#first-row").inner_text()
        (body,) = re.findall(r"-d '(.+)'", command)
        with urlopen(Request(f"{address}anomaly", body.encode(), SENDS)) as answer:
            assert answer.status == 200
        expect(page.get_by_role("link", name="press-1")).to_be_visible()
        assert _sideways(page) <= 0


@pytest.mark.parametrize(("path", "shown"), [("", ".tile"), ("alarms", "#current li")])
def test_a_page_says_that_the_database_is_away_and_comes_back_with_it(
    service: str, open_page: OpenPage, path: str, shown: str
) -> None:
    page = open_page(f"{service}try")
    page.route("**/api/**", lambda route: route.fulfill(status=503, json={"detail": "away"}))
    page.goto(f"{service}{path}")
    expect(page.get_by_text("The database of the history cannot be reached")).to_be_visible()
    expect(page.locator("#live")).to_have_attribute("data-state", "lost")
    page.unroute("**/api/**")
    expect(page.locator(shown).first).to_be_visible()
    expect(page.get_by_text("The database of the history cannot be reached")).to_have_count(0)


def test_without_a_history_the_pages_say_so(
    folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    with running(application(tmp_path, folder / "bundle", database_url="none")) as address:
        page = open_page(address)
        for path in ("alarms", "sources/press-1", ""):
            page.goto(f"{address}{path}")
            expect(page.get_by_role("heading", name="History is switched off")).to_be_visible()
        page.get_by_role("link", name="Try a row or a file").click()
        expect(page.get_by_role("button", name="Score", exact=True)).to_be_visible()


def test_a_source_that_never_sent_is_not_found(service: str, open_page: OpenPage) -> None:
    page = open_page(f"{service}sources/{quote('press-77')}")
    expect(page.get_by_text("No row has the source “press-77”")).to_be_visible()


def test_who_may_only_look_sees_why_nothing_can_be_pressed(
    folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    keys = KeyFile(tmp_path / "cache" / "keys.json")
    looks, sent = make_key("wall display", ["score"])
    keys.add(looks)
    app = application(tmp_path, folder / "bundle", alarm_rules=folder / "rules.yaml")
    with running(app) as address:
        _alarm(address, "press-1", SENDS | {"X-API-Key": sent})
        page = open_page(f"{address}sources/press-1")
        page.locator("#key").fill(sent)
        page.locator("main button[type=submit]").click()
        expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
        expect(page.get_by_text("needs a key with the scope operate")).to_be_visible()
        page.get_by_role("link", name="Alarms").click()
        expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
        expect(page.locator("#past").get_by_role("button", name="True")).to_be_disabled()
