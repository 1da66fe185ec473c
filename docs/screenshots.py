"""Take the pictures of the page to try rows on that the READMEs show.

    python docs/screenshots.py http://127.0.0.1:8000

The service must run, with the bundled sample's model. Chromium and a Japanese font are needed.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parent / "images"
ROW = ("1", "2", "3")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 800


def take(browser: Browser, address: str, language: str) -> None:
    """The whole page in one language, after ROW was scored."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, locale=language, color_scheme="light"
    )
    page = context.new_page()
    page.goto(f"{address}/try")
    for index, value in enumerate(ROW):
        page.fill(f"#sensor-{index}", value)
    page.click("#row-form button[type=submit]")
    page.wait_for_selector("#verdict .word")
    page.mouse.move(0, 0)
    page.screenshot(path=FOLDER / f"page-{language}.png", full_page=True, animations="disabled")
    context.close()


def main() -> None:
    """One picture a language."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} URL")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        for language in ("en", "ja"):
            take(browser, sys.argv[1], language)
        browser.close()


if __name__ == "__main__":
    main()
