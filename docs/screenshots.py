"""Take the pictures that the READMEs show, of a demo that runs.

    make demo
    python docs/screenshots.py http://127.0.0.1:8000

The demo should have run for some minutes, so that a machine is in alarm and there is something to
see. Nothing is changed in it. Chromium and a Japanese font are needed.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
ROW = ("1", "2", "3")
LOOKED_AT = 0.7
"""Of the threshold in force: as if somebody were asking what a lower one would mean."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 800
PATIENCE_SECONDS = 600.0


def overview(page: Page, address: str) -> None:
    """Every machine, the loudest first."""
    page.goto(f"{address}/")
    page.wait_for_selector("#sources > *")


def source(page: Page, address: str) -> None:
    """The loudest machine."""
    with page.expect_response("**/api/expected?*"):  # it comes after the rows
        page.goto(f"{address}/sources/{quote(loudest(address), safe='')}")
    page.wait_for_selector(".js-plotly-plot, svg.main-svg")
    page.wait_for_timeout(3000)  # a busy machine draws it some seconds later


def threshold(page: Page, address: str) -> None:
    """What a lower threshold would mean."""
    page.goto(f"{address}/threshold")
    with urlopen(f"{address}/api/threshold") as answer:
        in_force = float(json.load(answer)["value"])
    page.fill("#number", f"{LOOKED_AT * in_force:.3g}")
    page.wait_for_selector("#meaning:not([aria-busy]) thead th:nth-child(3)")


def tried(page: Page, address: str) -> None:
    """A row that was judged an anomaly."""
    page.goto(f"{address}/try")
    for index, value in enumerate(ROW):
        page.fill(f"#sensor-{index}", value)
    page.click("#row-form button[type=submit]")
    page.wait_for_selector("#verdict .word")


PICTURES: dict[str, tuple[Callable[[Page, str], None], bool]] = {
    "overview": (overview, False),
    "source": (source, True),
    "threshold": (threshold, True),
    "page": (tried, True),
}
"""Name, what to show, and whether the whole page is shown or what fits on a screen."""


def loudest(address: str) -> str:
    """The source at the top of the overview, once it has an alarm that nobody has acknowledged."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with urlopen(f"{address}/api/sources") as answer:
            found = json.load(answer)["sources"]
        if found and found[0]["state"] == "unacknowledged" and found[0]["kind"] == "anomaly":
            return str(found[0]["name"])
        time.sleep(2)
    sys.exit("no machine has come into alarm; is the demo running?")


def take(browser: Browser, address: str, name: str, language: str) -> None:
    """One picture in one language."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, locale=language, color_scheme="light"
    )
    show, whole = PICTURES[name]
    page = context.new_page()
    show(page, address)
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # drawings settle
    file = FOLDER / f"{name}-{language}.png"
    page.screenshot(path=file, full_page=whole, animations="disabled")
    context.close()


def main() -> None:
    """Four pictures a language."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} URL")
    address = sys.argv[1].rstrip("/")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed")
    FOLDER.mkdir(exist_ok=True)
    loudest(address)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        for name in PICTURES:
            for language in ("en", "ja"):
                take(browser, address, name, language)
        browser.close()


if __name__ == "__main__":
    main()
