"""Every text stands out against its ground, and so does every sign: WCAG 2.2, level AA."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.pages.everywhere import PAGES, SIGN_IN, Plant, calm_plant, loud_plant
from tests.serving.pages.service import OpenPage

CONTRASTS = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
TALL = 4000
"""Pixels: no page is higher, so that all of each is in the window."""
LEAST_COUNTED = 8
"""Texts and signs on the emptiest page; fewer means that they were not looked at."""

SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
LANGUAGES = pytest.mark.parametrize("language", ["en", "ja"])


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with calm_plant(tmp_path_factory.mktemp("calm")) as plant:
        yield plant


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with loud_plant(tmp_path_factory.mktemp("loud")) as plant:
        yield plant


def faint(page: Page) -> list[str]:
    """What does not stand out on a page, once its styles have come."""
    page.wait_for_load_state()
    seen = page.evaluate(CONTRASTS)
    assert seen["counted"] >= LEAST_COUNTED
    found: list[str] = seen["found"]
    return found


def all_faint(plant: Plant, page: Page) -> dict[str, list[str]]:
    found = {}
    for name in PAGES:
        plant.visit(page, name)
        found[name] = faint(page)
    return {name: what for name, what in found.items() if what}


@SCHEMES
@LANGUAGES
def test_everything_stands_out_while_all_is_well(
    calm: Plant, open_page: OpenPage, language: str, scheme: str
) -> None:
    address = f"{calm.address}{SIGN_IN}"
    page = open_page(address, language=language, scheme=scheme, height=TALL)
    assert faint(page) == []
    page.locator("#key").fill("not a key")
    page.locator("main button[type=submit]").click()
    expect(page.locator("#key-wrong")).not_to_be_empty()
    assert faint(page) == []
    calm.sign_in(page)
    assert all_faint(calm, page) == {}


@SCHEMES
@LANGUAGES
def test_everything_stands_out_with_alarms_in_every_state(
    loud: Plant, open_page: OpenPage, language: str, scheme: str
) -> None:
    page = open_page(f"{loud.address}{SIGN_IN}", language=language, scheme=scheme, height=TALL)
    loud.sign_in(page)
    assert all_faint(loud, page) == {}


def tried(page: Page) -> None:
    """A row that is an anomaly, and a file that has one."""
    rows = ["vibration,current,sound", *[",".join(map(str, NORMAL_ROW))] * 20]
    rows.append(",".join(map(str, ANOMALOUS_ROW)))
    data = "\n".join(rows).encode()
    page.locator("#file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": data})
    expect(page.locator("#file-scores .dot")).to_have_count(1)
    page.locator("#file-scores tbody button").click()
    expect(page.locator("#verdict .shares li")).to_have_count(3)
    page.locator(".words summary").click()


def refused(page: Page) -> None:
    """A row and a file that cannot be scored."""
    page.locator("#sensor-1").fill("high")
    page.locator("#row-form button[type=submit]").click()
    expect(page.locator("#wrong-1")).not_to_be_empty()
    data = b"vibration,current,sound\n1,n/a,1\n"
    page.locator("#file").set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": data})
    expect(page.locator("#file-scores .refused")).to_be_visible()


def looked_at(page: Page) -> None:
    """A lower threshold, and a number that is none."""
    page.locator("#number").fill("0.5")
    expect(page.locator("#apply-value")).not_to_be_empty()
    expect(page.locator("#meaning")).not_to_have_attribute("aria-busy", "true")


def pointed_at(page: Page) -> None:
    """An anomaly under the cursor, its expected values, and a note."""
    page.locator("#note-text").fill("the tool was blunt")
    page.locator("#note-add").click()
    expect(page.locator("#notes li").first).to_be_visible()
    page.locator("#chart").press("End")
    expect(page.locator("#cursor .cursor-share").first).to_be_visible()


def unfolded(page: Page) -> None:
    """All that happened to an alarm."""
    page.locator("#past tr button").last.click()
    expect(page.locator(".audit").first).to_be_visible()


def asked(page: Page) -> None:
    """The question that comes before an alarm is acknowledged."""
    page.locator("#current .primary").first.click()
    expect(page.locator("dialog")).to_be_visible()


@SCHEMES
@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("try", tried),
        ("try", refused),
        ("threshold", looked_at),
        ("source", pointed_at),
        ("alarms", unfolded),
        ("alarms", asked),
    ],
)
def test_what_comes_of_what_people_do_stands_out_too(
    loud: Plant, open_page: OpenPage, name: str, act: Callable[[Page], None], scheme: str
) -> None:
    page = open_page(f"{loud.address}{SIGN_IN}", scheme=scheme, height=TALL)
    loud.sign_in(page)
    loud.visit(page, name)
    act(page)
    assert faint(page) == []


def test_a_text_that_does_not_stand_out_is_found(calm: Plant, open_page: OpenPage) -> None:
    page = open_page(f"{calm.address}{SIGN_IN}", height=TALL)
    page.evaluate("document.getElementById('sign-in-title').style.color = '#b0b5b0'")
    (found,) = faint(page)
    assert found.startswith("h1#sign-in-title")
