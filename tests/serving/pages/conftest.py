"""A real browser that reports everything it complains of."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from kizashi.runtime.bundle import Bundle
from tests.bundles import press_line_bundle
from tests.serving.pages.service import OpenPage, application, running
from tests.system import program

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
# The browser runs as root in a container, and is to be silent on the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000
"""Milliseconds for what comes by itself: a machine that runs other tests too is slow at times, and
Apprise takes seconds to import."""
expect.set_options(timeout=PATIENCE)
AT_ONCE = "default: {warm_up: {seconds: 0}}\n"
REFUSED = "Failed to load resource"
"""What the console says of a 422 or 503, which pages show themselves."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: its event loop must not outlive it, other tests have their own."""
    found = program(*CHROMIUM)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, args=ARGUMENTS, timeout=2 * PATIENCE
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and rules by which alarms begin with the third anomaly, also of a new source."""
    made = tmp_path_factory.mktemp("watched")
    press_line_bundle(made / "bundle")
    (made / "rules.yaml").write_text(AT_ONCE, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[str]:
    """Where a service of that folder answers."""
    app = application(folder, folder / "bundle", alarm_rules=folder / "rules.yaml")
    with running(app) as address:
        yield address


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a fresh browser profile, with further options of Playwright's by name.

    At the end every page must have run without an error on its console (a breach of its own
    security policy is one), and without asking anything of another host.
    """
    complaints: list[str] = []
    with ExitStack() as stack:

        def opened(
            address: str,
            *,
            width: int = 1400,
            height: int = 900,
            language: str = "en",
            scheme: Literal["light", "dark"] = "light",
            **more: Any,
        ) -> Page:
            host = urlsplit(address).netloc

            def check(response: Response) -> None:
                where = urlsplit(response.url)
                if where.scheme in ("http", "https") and where.netloc != host:
                    complaints.append(f"asked for {response.url}")
                if where.path.startswith("/static/") and response.status >= 400:
                    complaints.append(f"{response.status} for {response.url}")

            context = browser.new_context(
                viewport={"width": width, "height": height},
                locale=language,
                color_scheme=scheme,
                accept_downloads=True,
                **more,
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda said: (
                    complaints.append(said.text)
                    if said.type == "error" and not said.text.startswith(REFUSED)
                    else None
                ),
            )
            page.on("response", check)
            page.goto(address)
            return page

        yield opened
    assert complaints == []
