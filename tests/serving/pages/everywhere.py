"""Every page, with something on it: what all pages are held to is asked of each of these."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect

from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.pages.service import application, running

PAGES = {
    "overview": ("", ".tile"),
    "alarms": ("alarms", "#past tr, #past-none:not([hidden]), #past-never:not([hidden])"),
    "source": ("sources/press-1", "#chart .main-svg"),
    "unknown source": ("sources/press-77", ".waiting"),
    "threshold": ("threshold", "#meaning tbody tr"),
    "model": ("models", ".versions tbody tr"),
    "notifications": ("notifications", "#channels li"),
    "try": ("try", "#histogram .bar"),
}
"""Where each is, and what is there once it is drawn. The page for signing in is shown to who has
not, and is asked for apart."""
SIGN_IN = "sign-in"
RULES = "default: {warm_up: {seconds: 0}}\n"
CHANNELS = "maintenance,quality=json://127.0.0.1:9/alarms\n"
ROUNDS = 40
"""The rows of the source that is looked at: half an hour of them would be no other picture."""


@dataclass(frozen=True)
class Plant:
    """A service that runs, and a key to it."""

    address: str
    key: str

    def ask(self, path: str, body: object | None = None) -> Any:
        """GET `path`, or POST `body` to it."""
        headers = {"Content-Type": "application/json", "X-API-Key": self.key}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.address}{path}", data, headers)) as answer:
            return json.load(answer)

    def send(self, source: str, row: list[float], count: int = 1) -> None:
        """Rows of `source`, one after the other."""
        for _ in range(count):
            self.ask("anomaly", {"values": row, "source": source})

    def states(self) -> dict[str, str]:
        """The state of each source."""
        return {one["name"]: one["state"] for one in self.ask("api/sources")["sources"]}

    def wait_for(self, states: dict[str, str]) -> None:
        """Until each source is in its state; rows are written within half a second."""
        deadline = time.monotonic() + 60
        while (found := self.states()) != states:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def sign_in(self, page: Page) -> None:
        """With the key, on the page that asks for it."""
        page.goto(f"{self.address}{SIGN_IN}")
        page.locator("#key").fill(self.key)
        page.locator("main button[type=submit]").click()
        expect(page.locator(".sign-out")).to_be_visible()

    def visit(self, page: Page, name: str) -> None:
        """Open a page, and wait until it is drawn."""
        path, shown = PAGES[name]
        page.goto(f"{self.address}{path}")
        expect(page.locator(shown).first).to_be_visible()
        if page.locator("#live").count():
            expect(page.locator("#live")).to_have_attribute("data-state", "live")


@contextmanager
def calm_plant(folder: Path) -> Iterator[Plant]:
    """One source, which is as it should be."""
    with _plant(folder) as plant:
        plant.send("press-1", NORMAL_ROW, 3)
        plant.wait_for({"press-1": "normal"})
        yield plant


@contextmanager
def loud_plant(folder: Path) -> Iterator[Plant]:
    """A source in each state that an alarm can have, and a threshold that was set by hand."""
    with _plant(folder) as plant:
        states = {"press-0": "normal", "press-1": "unacknowledged", "press-2": "acknowledged"}
        states |= {"press-3": "shelved", "press-4": "out_of_service"}
        states |= {"press-5": "returned_unacknowledged"}
        for source in states:
            plant.send(source, NORMAL_ROW, ROUNDS if source == "press-1" else 3)
            if source != "press-0":
                plant.send(source, ANOMALOUS_ROW, 3)
        plant.wait_for(dict.fromkeys(states, "unacknowledged") | {"press-0": "normal"})
        plant.ask("api/alarms/acknowledge", {"source": "press-2", "comment": "being looked at"})
        plant.ask("api/alarms/shelve", {"source": "press-3", "kind": "anomaly", "seconds": 3600})
        plant.ask("api/alarms/out-of-service", {"source": "press-4", "seconds": 3600})
        plant.send("press-5", NORMAL_ROW, 12)
        plant.wait_for(states)
        now = plant.ask("api/threshold")
        by_hand = {"bundle": now["bundle"], "value": 1.1 * now["value"], "comment": "of the test"}
        plant.ask("api/threshold", by_hand)
        yield plant


@contextmanager
def _plant(folder: Path) -> Iterator[Plant]:
    record, key = make_key("the line", ["admin"])
    KeyFile(folder / "cache" / "keys.json").add(record)
    press_line_bundle(folder / "bundle")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "notify.cfg").write_text(CHANNELS, encoding="utf-8")
    app = application(
        folder,
        folder / "bundle",
        alarm_rules=folder / "rules.yaml",
        notify_config=folder / "notify.cfg",
        notify_dry_run=True,
    )
    with running(app) as address:
        yield Plant(address, key)
