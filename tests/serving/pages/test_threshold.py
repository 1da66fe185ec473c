"""The page of the threshold, in a real browser against the real service."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from kizashi.runtime.bundle import Bundle, load_bundle
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.bundles import ANOMALOUS_ROW, press_line_bundle
from tests.serving.pages.service import OpenPage, application, running
from tests.serving.services import running as workers
from tests.serving.services import wait_until

HOSTILE = "<img src=x onerror=alert(1)> '\"&"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[str]:
    with running(application(tmp_path_factory.mktemp("kept"), bundle.folder)) as address:
        yield address


@pytest.fixture(scope="module")
def without_history(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("unkept")
    with running(application(folder, bundle.folder, database_url="none")) as address:
        yield address


def sideways(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def look_at(page: Page, value: str) -> None:
    page.locator("#number").fill(value)
    expect(page.locator("#meaning")).not_to_have_attribute("aria-busy", "true")


def apply(page: Page, value: str, comment: str) -> None:
    look_at(page, value)
    page.locator("#comment").fill(comment)
    page.locator("#apply-button").click()
    expect(page.locator("#undo")).to_be_visible()


def undo(page: Page) -> None:
    page.locator("#undo").click()
    expect(page.locator("#undo")).to_have_count(0)


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize(
    ("language", "title", "in_force"),
    [("en", "Threshold", "In force"), ("ja", "しきい値", "適用中")],
)
@pytest.mark.parametrize("kept", [True, False])
def test_it_says_what_the_threshold_in_force_means(
    service: str,
    without_history: str,
    open_page: OpenPage,
    width: int,
    language: str,
    title: str,
    in_force: str,
    kept: bool,
) -> None:
    address = service if kept else without_history
    page = open_page(f"{address}threshold", width=width, language=language)
    expect(page.locator("h1")).to_have_text(title)
    expect(page.locator("#meaning thead th")).to_have_text([in_force])
    expect(page.locator("#meaning .about").first).to_contain_text("4,000")
    expect(page.locator(".places [aria-current=page]")).to_have_text(title)
    assert "{" not in page.locator("main").inner_text()
    assert sideways(page) <= 0


def test_it_is_moved_by_keyboard_by_pointer_and_by_number(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}threshold")
    slider, number = page.locator("#slider"), page.locator("#number")
    before = float(number.input_value())
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert float(number.input_value()) > before
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d"))
    box = page.locator("#histogram").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert float(number.input_value()) < before
    beyond = page.locator(".bar.beyond").count()
    assert beyond > 0
    expect(page.locator("#meaning thead th")).to_have_text(["In force", "Looked at"])
    look_at(page, "1000")
    expect(page.locator(".bar.beyond")).to_have_count(0)
    page.get_by_role("button", name="Back to the one in force").click()
    expect(page.locator("#meaning thead th")).to_have_text(["In force"])


@pytest.mark.parametrize("wrong", ["", "0", "-1", "high", "NaN", "Infinity", "1e999"])
def test_what_is_no_threshold_is_said_beside_the_field(
    service: str, open_page: OpenPage, wrong: str
) -> None:
    page = open_page(f"{service}threshold")
    page.locator("#number").fill(wrong)
    expect(page.locator("#number-wrong")).to_have_text("A number above 0 is needed.")
    expect(page.locator("#apply-button")).to_be_disabled()


def test_it_is_applied_with_a_reason_shown_everywhere_and_undone_with_one_click(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}threshold")
    look_at(page, "1234")
    page.locator("#apply-button").click()
    expect(page.locator("#comment-wrong")).to_contain_text("Say why")
    apply(page, "1234", HOSTILE)
    expect(page.locator("#by-hand q")).to_have_text(HOSTILE)
    expect(page.locator("#by-hand")).to_contain_text("1,234, set by somebody without a key")
    expect(page.locator("#apply-said")).to_contain_text("In force here.")
    for place in ("", "alarms", "models", "try"):
        other = open_page(f"{service}{place}")
        expect(other.locator(".set-by-hand")).to_contain_text("set by hand: 1,234")
    for name, value in zip(("vibration", "current", "sound"), ANOMALOUS_ROW, strict=True):
        other.get_by_label(name, exact=True).fill(str(value))
    other.locator("#row-form button[type=submit]").click()
    expect(other.locator("#verdict .word")).to_have_text("Normal")
    expect(other.locator("#verdict")).to_contain_text("Threshold set by somebody without a key")
    undo(page)
    expect(page.locator("#changes li")).to_have_count(2)
    expect(page.locator("#changes li").first).to_contain_text("back to the calibrated")


@pytest.mark.parametrize(
    ("language", "said"), [("en", "set by hand: 1,234"), ("ja", "手動設定中です：1,234")]
)
def test_a_page_that_is_open_says_it_without_being_loaded_again(
    service: str, open_page: OpenPage, language: str, said: str
) -> None:
    open_ones = [open_page(f"{service}{place}?lang={language}") for place in ("", "alarms", "try")]
    for one in open_ones:
        expect(one.locator("#set-by-hand")).to_be_hidden()
    page = open_page(f"{service}threshold")
    apply(page, "1234", "because")
    for one in open_ones:
        expect(one.locator("#set-by-hand")).to_contain_text(said)
    undo(page)
    for one in open_ones:
        expect(one.locator("#set-by-hand")).to_be_hidden()


def test_another_persons_change_appears_by_itself(service: str, open_page: OpenPage) -> None:
    one, other = open_page(f"{service}threshold"), open_page(f"{service}threshold")
    apply(one, "77", "because")
    expect(other.locator("#by-hand")).to_contain_text("77, set by")
    undo(other)


def test_a_threshold_that_finds_nothing_or_everything_is_warned_of(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}threshold")
    row = {"values": ANOMALOUS_ROW, "source": "press-01"}
    for _ in range(3):
        assert page.request.post(f"{service}anomaly", data=row).ok
    page.reload()
    look_at(page, "0.000001")
    expect(page.locator("#meaning .note")).to_contain_text("machines that run well")
    look_at(page, "1e9")
    expect(page.locator("#meaning .note")).to_contain_text("none of the last week's")
    expect(page.locator("#meaning .weeks")).to_contain_text("press-01")


@pytest.mark.parametrize(
    ("language", "precision", "about"),
    [
        ("en", "Precision, labelled rows", "faults are rarer"),
        ("ja", "適合率（評価用", "まれな現場"),
    ],
)
def test_precision_and_recall_on_the_labelled_rows_follow_the_threshold(
    tmp_path: Path,
    bundle: Bundle,
    open_page: OpenPage,
    language: str,
    precision: str,
    about: str,
) -> None:
    told = {
        "faulty_rows": 10,
        "normal_rows": 100,
        "score": [0.0, 1.0, 2.0, 4.0],
        "faulty": [10, 10, 8, 0],
        "normal": [100, 30, 2, 0],
    }
    app = application(tmp_path, bundle.folder, database_url="none")
    cache = app.state.detectors.cache
    cache.create()
    tags = {"labelled_scores": json.dumps(told)}
    cache.adopt(bundle.folder, name="bundle", version="1", source="here", tags=tags)
    app.state.follower.ensure = lambda: None
    with running(app) as address:
        page = open_page(f"{address}threshold", language=language, width=390)
        meaning = page.locator("#meaning")
        look_at(page, "2")
        expect(meaning).to_contain_text(precision)
        expect(meaning).to_contain_text(about)
        expect(meaning).to_contain_text(re.compile(r"80\W?%"))
        look_at(page, "1")
        expect(meaning).to_contain_text(re.compile(r"25\W?%"))
        look_at(page, "1.5")
        expect(meaning).to_contain_text("≈")
        assert sideways(page) <= 0


def test_who_has_no_right_to_change_it_may_look_and_reads_why(
    tmp_path: Path, bundle: Bundle, open_page: OpenPage
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    record, key = make_key("wall", ["score"])
    keys.add(record)
    with running(application(tmp_path, bundle.folder, keys_file=keys.path)) as address:
        page = open_page(f"{address}sign-in?after=/threshold")
        page.locator("input[type=password]").fill(key)
        page.locator(".sign-in button[type=submit]").click()
        expect(page.locator("h1")).to_have_text("Threshold")
        look_at(page, "3")
        expect(page.locator("#may-not")).to_contain_text("scope operate")
        expect(page.locator("#apply")).to_be_hidden()


def test_one_worker_applies_it_all_workers_follow_and_the_next_version_ends_it(
    tmp_path: Path, open_page: OpenPage
) -> None:
    folder = tmp_path / "model"
    press_line_bundle(folder)
    with workers(folder, tmp_path, workers=2, poll_seconds=0.2) as service:

        def everywhere(by_hand: bool) -> bool:
            """Whether so many connections, one after the other, all say it: two workers take them
            in turn, as it comes."""
            told = ['"override":null' not in service.get("/api/threshold")[1] for _ in range(20)]
            return all(told) if by_hand else not any(told)

        page = open_page(f"http://127.0.0.1:{service.port}/threshold")
        apply(page, "55", "both of you")
        wait_until(lambda: everywhere(True))
        calibrated = load_bundle(folder).detector.threshold.value
        newer = press_line_bundle(folder, seed=1)
        assert newer.detector.threshold.value != calibrated
        wait_until(lambda: everywhere(False))
        expect(page.locator("#replaced")).to_contain_text("now serves")
        page.reload()
        expect(page.locator("#changes li").first).to_contain_text("ended its threshold")
        expect(page.locator("#by-hand")).to_be_empty()


def test_the_name_of_the_threshold_in_force_stands_beside_the_line(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}threshold")
    expect(page.locator("#force-line text")).to_contain_text("In force")
    name = page.locator("#force-line text").bounding_box()
    line = page.locator("#looked-line line").bounding_box()
    assert name is not None and line is not None
    at = line["x"] + line["width"] / 2
    assert not name["x"] <= at <= name["x"] + name["width"], (name, line)
