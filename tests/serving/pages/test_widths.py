"""From a phone to a wall display: every page fits its window, and can be read from where it is."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.serving.pages.everywhere import PAGES, SIGN_IN, Plant, loud_plant
from tests.serving.pages.service import OpenPage

PHONE, WALL = 360, 3840
LEAST_TEXT = 12
"""CSS pixels on a phone, which is held at arm's length."""

METRES, WALL_MILLIMETRES = 3.0, 1210.0
"""From where a wall display is looked at, and how broad one of 55 inches is."""
LEAST_MINUTES_OF_ARC = 16.0
"""The height of a capital letter at that distance: what ISO 9241-303 asks for at the least."""

UNBROKEN = "h1, h2, h3, th, button, .button, .state-word, .priority"
MEASURES = Path(__file__).with_name("measures.js").read_text(encoding="utf-8")
FROM_AFAR = [".tile-band strong", ".tile-name", ".tile-what", "#summary", "#clock"]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with loud_plant(tmp_path_factory.mktemp("loud")) as found:
        yield found


def _measured(page: Page, name: str, given: object = None) -> Any:
    """What one of MEASURES says of a page, at one moment of it."""
    return page.evaluate(f"(given) => ({MEASURES}).{name}(given)", given)


def _wrong(page: Page) -> list[Any]:
    """What is wrong with how a page stands in its window."""
    sideways = _measured(page, "sideways")
    found: list[Any] = _measured(page, "overlaps")
    return found if sideways <= 0 else [*found, f"{sideways} pixels too wide"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("width", [PHONE, WALL])
def test_every_page_fits_its_window(
    plant: Plant, open_page: OpenPage, width: int, language: str, scheme: str
) -> None:
    address = f"{plant.address}{SIGN_IN}"
    page = open_page(address, width=width, language=language, scheme=scheme)
    wrong = {SIGN_IN: _wrong(page)}
    plant.sign_in(page)
    for name in PAGES:
        plant.visit(page, name)
        wrong[name] = _wrong(page)
    assert {name: what for name, what in wrong.items() if what} == {}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_text_is_smaller_on_a_phone_than_one_can_read(
    plant: Plant, open_page: OpenPage, language: str
) -> None:
    page = open_page(f"{plant.address}{SIGN_IN}", width=PHONE, language=language)
    plant.sign_in(page)
    small = {}
    for name in PAGES:
        plant.visit(page, name)
        small[name] = _measured(page, "smallTexts", LEAST_TEXT)
    assert {name: what for name, what in small.items() if what} == {}


def test_no_word_of_a_state_a_heading_or_a_button_is_broken(
    plant: Plant, open_page: OpenPage
) -> None:
    page = open_page(f"{plant.address}{SIGN_IN}")
    plant.sign_in(page)
    broken = {}
    for name in PAGES:
        plant.visit(page, name)
        for width in (PHONE, 390, 430, 600, 800, 1100, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            broken[name, width] = _measured(page, "brokenWords", UNBROKEN)
    assert {place: what for place, what in broken.items() if what} == {}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_header_is_one_row_or_the_places_have_one_of_their_own(
    plant: Plant, open_page: OpenPage, language: str
) -> None:
    page = open_page(f"{plant.address}{SIGN_IN}", language=language)
    plant.sign_in(page)
    for name in ("overview", "threshold"):
        plant.visit(page, name)
        rows = {}
        for width in range(PHONE, 1800, 20):
            page.set_viewport_size({"width": width, "height": 600})
            rows[width] = _measured(page, "headerRows")
            assert _wrong(page) == [], width
        assert max(rows.values()) == 2
        assert {rows[width] for width in rows if width >= 1200} == {1}


def _minutes_of_arc(pixels: float) -> float:
    """How high so many pixels are, seen from METRES, on a display as broad as the window."""
    return math.degrees(pixels * WALL_MILLIMETRES / WALL / (1000 * METRES)) * 60


@pytest.mark.parametrize("language", ["en", "ja"])
def test_states_and_names_are_read_on_a_wall_display_from_three_metres(
    plant: Plant, open_page: OpenPage, language: str
) -> None:
    page = open_page(f"{plant.address}{SIGN_IN}", width=WALL, height=2160, language=language)
    plant.sign_in(page)
    plant.visit(page, "overview")
    expect(page.locator(".tile")).to_have_count(6)
    heights = _measured(page, "capitals", FROM_AFAR)
    small = {selector: _minutes_of_arc(height) for selector, height in heights.items()}
    assert min(small.values()) >= LEAST_MINUTES_OF_ARC, small
    page.get_by_role("link", name="press-0").scroll_into_view_if_needed()
    assert page.evaluate("window.scrollY") == 0, "the last of six is to be seen as well"


COMMENT = "軸受の異音を確認しました。次の停止時に交換し、負荷を落として運転を続けます。" * 3
CHOSEN = "#past .choices button[aria-pressed=true]"
HIDDEN = (
    "(parts) => parts.map((one) => one.scrollWidth - one.clientWidth).filter((some) => some > 0)"
)


@pytest.fixture(scope="module")
def commented(plant: Plant) -> Plant:
    """Somebody had much to say of an alarm."""
    plant.ask("api/alarms/acknowledge", {"source": "press-1", "comment": COMMENT})
    return plant


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("width", [PHONE, 1120, 1280])
def test_what_can_be_done_about_a_past_alarm_is_in_sight_however_long_its_comment(
    commented: Plant, open_page: OpenPage, width: int, language: str
) -> None:
    page = open_page(f"{commented.address}{SIGN_IN}", width=width, language=language)
    commented.sign_in(page)
    commented.visit(page, "alarms")
    page.locator("#past .choices button").first.click()  # a chosen one is broader
    expect(page.locator(CHOSEN)).to_have_count(1)
    assert page.locator("#past-table, #past .choices").evaluate_all(HIDDEN) == []
    comment = page.locator("#past").get_by_title(COMMENT)
    assert comment.evaluate("(one) => one.clientHeight") < 80, "three lines"
    page.locator(CHOSEN).click()
    expect(page.locator(CHOSEN)).to_have_count(0)
