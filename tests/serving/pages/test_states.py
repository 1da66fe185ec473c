"""What a page says while something is not there yet, is switched off, or is under way; and an alarm
that is dealt with by keyboard alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from kizashi.runtime.bundle import Bundle
from tests.bundles import NORMAL_ROW, press_line_bundle
from tests.serving.pages.everywhere import SIGN_IN, Plant, loud_plant
from tests.serving.pages.service import OpenPage, application, running, send_and_wait

WATCH_PROGRESS = """() => {
    const [bar, said] = ["file-progress", "file-said"].map((id) => document.getElementById(id));
    window.progress = [];
    const share = () => Number(bar.getAttribute("value") ?? 100);
    const look = () => bar.hidden || window.progress.push([share(), said.textContent]);
    new MutationObserver(look).observe(bar, { attributes: true });
}"""
"""Write down how far the bar is, and what is said, whenever it moves: no look from outside is sure
to come in time."""
MOST_TABS = 60
"""From the top of a page to any part of it that is meant to be reached without a pointer."""


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[str]:
    """A service that no row has come to."""
    with running(application(tmp_path_factory.mktemp("silent"), bundle.folder)) as address:
        yield address


@pytest.mark.parametrize(
    ("language", "title", "button"),
    [
        ("en", "No source has sent a row yet", "Try a row or a file on a page"),
        ("ja", "まだどの機械からも行が届いていません", "画面で行やファイルを試す"),
    ],
)
def test_before_the_first_row_the_overview_waits_for_it(
    silent: str, open_page: OpenPage, language: str, title: str, button: str
) -> None:
    page = open_page(silent, language=language)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator("#first-row")).to_contain_text("curl")
    expect(page.locator("#sources")).to_be_hidden()
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.get_by_role("link", name=button).click()
    expect(page.locator("#row-form")).to_be_visible()


@pytest.mark.parametrize(
    ("language", "title", "said"),
    [
        ("en", "Nothing has come from this source", "No row has the source “press-77”."),
        ("ja", "この機械からはまだ何も届いていません", "source が「press-77」の行はありません。"),
    ],
)
def test_a_source_that_nobody_knows_is_said_to_be_unknown(
    silent: str, open_page: OpenPage, language: str, title: str, said: str
) -> None:
    page = open_page(f"{silent}sources/press-77", language=language)
    expect(page.get_by_role("heading", level=2, name=title)).to_be_visible()
    expect(page.get_by_text(said)).to_be_visible()
    expect(page.locator("#chart")).to_have_count(0)


@pytest.mark.parametrize(
    ("language", "title", "button"),
    [
        ("en", "History is switched off", "Try a row or a file"),
        ("ja", "履歴はオフです", "行やファイルを試す"),
    ],
)
def test_without_a_history_each_page_of_it_says_so(
    bundle: Bundle, tmp_path: Path, open_page: OpenPage, language: str, title: str, button: str
) -> None:
    with running(application(tmp_path, bundle.folder, database_url="none")) as address:
        page = open_page(address, language=language)
        for path in ("", "alarms", "notifications", "sources/press-1"):
            page.goto(f"{address}{path}")
            expect(page.get_by_role("heading", level=2, name=title)).to_be_visible()
            expect(page.locator("main")).to_contain_text("KIZASHI_DATABASE_URL=none")
            expect(page.locator("main").get_by_role("link", name=button)).to_be_visible()


@pytest.mark.parametrize(
    ("language", "state", "opened"),
    [("en", "No model yet", "Score"), ("ja", "モデルがありません", "判定する")],
)
def test_without_a_model_the_page_waits_and_opens_by_itself(
    tmp_path: Path, open_page: OpenPage, language: str, state: str, opened: str
) -> None:
    with running(application(tmp_path, tmp_path / "bundle")) as address:
        page = open_page(f"{address}try", language=language)
        expect(page.get_by_text(state, exact=True)).to_be_visible()
        expect(page.locator("#reason")).not_to_have_text("…")
        press_line_bundle(tmp_path / "bundle")
        expect(page.get_by_role("button", name=opened, exact=True)).to_be_visible()


def test_that_there_is_no_model_is_said_of_known_sources_only_as_long_as_it_is_so(
    bundle: Bundle, tmp_path: Path, open_page: OpenPage
) -> None:
    with running(application(tmp_path, bundle.folder)) as address:
        send_and_wait(address, "press-1", NORMAL_ROW)
    kept = f"sqlite:///{tmp_path}/cache/history.db"
    with running(application(tmp_path / "new", tmp_path / "later", database_url=kept)) as address:
        page = open_page(address)
        expect(page.get_by_role("link", name="press-1")).to_be_visible()
        expect(page.get_by_text("Nothing is judged at the moment")).to_be_visible()
        press_line_bundle(tmp_path / "later")
        expect(page.get_by_text("Nothing is judged at the moment")).to_have_count(0)


@pytest.mark.parametrize(("language", "under_way"), [("en", "Scoring"), ("ja", "判定しています")])
def test_a_long_file_shows_how_far_it_is_and_then_only_what_came_of_it(
    silent: str, open_page: OpenPage, language: str, under_way: str
) -> None:
    page = open_page(f"{silent}try", language=language)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 80_000}
    session.send("Network.emulateNetworkConditions", slow)
    progress = page.locator("#file-progress")
    expect(progress).to_be_hidden()
    page.evaluate(WATCH_PROGRESS)
    row = ",".join(map(str, NORMAL_ROW))
    data = "\n".join(["vibration,current,sound", *[row] * 40_000]).encode()
    page.locator("#file").set_input_files(
        {"name": "shift.csv", "mimeType": "text/csv", "buffer": data}
    )
    expect(page.locator(".summary .figure").first).to_have_text("40,000")
    expect(progress).to_be_hidden()
    seen = page.evaluate("window.progress")
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert len({share for share in shares if 0 < share < 100}) >= 2
    assert all(under_way in said for _, said in seen)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with loud_plant(tmp_path_factory.mktemp("loud")) as found:
        yield found


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the part that is called so has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(document.activeElement.getAttribute('aria-label')"
            " ?? document.activeElement.textContent).trim()"
        )
        if focused.startswith(name):
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_an_alarm_is_reached_and_acknowledged_by_keyboard_alone(
    plant: Plant, open_page: OpenPage
) -> None:
    page = open_page(f"{plant.address}{SIGN_IN}")
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type(plant.key)
    page.keyboard.press("Enter")
    tile = page.get_by_role("link", name="press-1")
    expect(tile.locator(".tile-band")).to_contain_text("Alarm")
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if tile.evaluate("(tile) => tile === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("press-1")
    expect(page.get_by_role("button", name="Acknowledge: press-1")).to_be_visible()
    _tab_to(page, "Acknowledge: press-1")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "where one is can be seen"
    page.keyboard.press("Enter")
    expect(page.get_by_label("Comment")).to_be_focused()
    page.keyboard.type("on my way")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#alarms .state-word").first).to_have_text("Acknowledged")
    assert plant.states()["press-1"] == "acknowledged"
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Shelve …: press-1")).to_be_focused()  # not lost
