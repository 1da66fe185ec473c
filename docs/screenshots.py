"""Take the pictures that the READMEs show, of a demo that runs.

    make demo
    python docs/screenshots.py http://127.0.0.1:8000 [NAME...]

The demo should have run for a quarter of an hour, which is as much as the page of a machine shows;
a picture waits until its machine has been in alarm and has sent all that time. Nothing is changed
in the demo. Chromium and a Japanese font are needed.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

FOLDER = Path(__file__).parent / "images"
ROW = ("1", "2", "3")
LOOKED_AT = 0.7
"""Of the threshold in force: as if somebody were asking what a lower one would mean."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEIGHT = 800
MACHINES = 6
SHOWN_SECONDS = 15 * 60
LONGEST_GAP = 10_000
"""Milliseconds; a longer one breaks the line of the drawing."""
PATIENCE_SECONDS = 1800.0


def overview(page: Page, address: str) -> None:
    """Every machine, the loudest first."""
    page.goto(f"{address}/")
    page.wait_for_function(
        "(count) => document.querySelectorAll('.tile .spark .scores').length >= count", arg=MACHINES
    )


def source(page: Page, address: str) -> None:
    """The loudest machine, with the cursor at its newest anomaly."""
    name, at = loudest(address)
    with page.expect_response("**/api/expected?*"):  # it comes after the rows
        page.goto(f"{address}/sources/{quote(name, safe='')}")
    page.wait_for_selector("#chart .scatterlayer .js-line")
    page.wait_for_function("() => !document.getElementById('cursor').textContent.includes('…')")
    drawing = page.locator("#chart .draglayer .nsewdrag").first
    drawing.scroll_into_view_if_needed()  # cards above it may fill the window
    box = drawing.bounding_box()
    assert box is not None
    share = 1 - (time.time() - at) / SHOWN_SECONDS
    page.mouse.click(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
    for key in ("ArrowLeft", *["ArrowRight"] * 8):  # a pixel is a row or two
        if page.locator("#cursor .cursor-share").count():
            break
        page.keyboard.press(key)
    page.wait_for_selector("#cursor .cursor-share")
    page.evaluate("document.activeElement.blur()")


def threshold(page: Page, address: str) -> None:
    """What a lower threshold would mean."""
    page.goto(f"{address}/threshold")
    with urlopen(f"{address}/api/threshold") as answer:
        in_force = float(json.load(answer)["value"])
    page.fill("#number", f"{LOOKED_AT * in_force:.3g}")
    page.wait_for_selector("#meaning:not([aria-busy]) thead th:nth-child(3)")
    page.evaluate("document.activeElement.blur()")


def tried(page: Page, address: str) -> None:
    """A row that was judged an anomaly."""
    page.goto(f"{address}/try")
    for index, value in enumerate(ROW):
        page.fill(f"#sensor-{index}", value)
    page.click("#row-form button[type=submit]")
    page.wait_for_selector("#verdict .word")


PICTURES: dict[str, tuple[Callable[[Page, str], None], int]] = {
    "overview": (overview, 1600),
    "source": (source, 1280),
    "threshold": (threshold, 1280),
    "page": (tried, 1280),
}
"""Name, what to show, and the width of the window: the overview's has room for three in a row."""


def loudest(address: str) -> tuple[str, float]:
    """The source at the top of the overview, once it has an alarm that nobody has acknowledged and
    a quarter of an hour of rows without a gap; and when its newest anomaly was, in seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = _asked(f"{address}/api/sources")["sources"]
        for one in found:
            if one["state"] != "unacknowledged" or one["kind"] != "anomaly":
                continue
            if (at := _whole(address, one["name"])) is not None:
                return str(one["name"]), at
        time.sleep(2)
    sys.exit("no machine has come into alarm and sent without a gap; is the demo running?")


def _whole(address: str, name: str) -> float | None:
    """When the newest anomaly of a source was, None if the time that is shown has none or a gap."""
    until = time.time()
    asked = {"start": until - SHOWN_SECONDS, "end": until}
    times = {side: datetime.fromtimestamp(at, UTC).isoformat() for side, at in asked.items()}
    trail = _asked(f"{address}/api/series?{urlencode({'source': name, **times})}")
    gaps = [later - earlier for earlier, later in pairwise([1000 * asked["start"], *trail["time"]])]
    anomalies = [at for at, count in zip(trail["time"], trail["anomalies"], strict=True) if count]
    if not anomalies or max(gaps) > LONGEST_GAP:
        return None
    return float(anomalies[-1]) / 1000


def _asked(address: str) -> Any:
    with urlopen(address) as answer:
        return json.load(answer)


def take(browser: Browser, address: str, name: str, language: str) -> None:
    """One picture in one language."""
    show, width = PICTURES[name]
    viewport: ViewportSize = {"width": width, "height": HEIGHT}
    context = browser.new_context(viewport=viewport, locale=language, color_scheme="light")
    page = context.new_page()
    show(page, address)
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # drawings settle
    page.screenshot(path=FOLDER / f"{name}-{language}.png", full_page=True, animations="disabled")
    context.close()


def main() -> None:
    """Each picture in each language."""
    names = sys.argv[2:] or list(PICTURES)
    if len(sys.argv) < 2 or not PICTURES.keys() >= set(names):
        sys.exit(f"usage: python {sys.argv[0]} URL [NAME...], of {', '.join(PICTURES)}")
    address = sys.argv[1].rstrip("/")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        for name in names:
            for language in ("en", "ja"):
                take(browser, address, name, language)
        browser.close()


if __name__ == "__main__":
    main()
