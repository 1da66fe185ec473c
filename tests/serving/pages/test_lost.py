"""Who was told of an alarm and what reached nobody, on the pages, with the real attendant."""

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from serving.history.database import Database, database_url
from serving.history.tables import deliveries
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.notify import conftest as notify
from tests.serving.notify.conftest import Receiver
from tests.serving.pages.service import OpenPage, application, running, send, send_and_wait
from tests.serving.services import wait_until

receiver, closed_port = notify.receiver, notify.closed_port
RULES = """
default: {warm_up: {seconds: 0}}
sources: {press-7: {notify: {line_stop: true}}}
"""


@pytest.fixture
def address(
    tmp_path: Path, receiver: Receiver, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A service one of whose channels answers, while nobody listens for line stops."""
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(b"of the test").decode())
    config, rules = tmp_path / "notify.cfg", tmp_path / "rules.yaml"
    config.write_text(
        f"maintenance=signed://127.0.0.1:{receiver.port}/alarms?secret_env=HOOK_SECRET\n"
        f"line_stop=signed://127.0.0.1:{closed_port}/stop?secret_env=HOOK_SECRET\n"
    )
    rules.write_text(RULES)
    press_line_bundle(tmp_path / "bundle")
    app = application(tmp_path, tmp_path / "bundle", notify_config=config, alarm_rules=rules)
    with running(app) as found:
        wait_until(lambda: sends(found))  # a line stop is tried for a minute and no longer
        yield found


def sends(address: str) -> bool:
    """Whether the process that sends is there, with both channels."""
    with urlopen(f"{address}api/notifications", timeout=60) as answer:
        told = json.load(answer)
    return told["sending"] and len(told["channels"]) == 2


def alarm(address: str, source: str) -> None:
    send(address, source, ANOMALOUS_ROW, 3)


def too_late(folder: Path) -> None:
    """A minute has passed for all that waits, as far as a new process could know."""
    url = database_url("sqlite", folder / "cache")
    assert url is not None
    database = Database(url)
    with database.write() as connection:
        late = {"state": "given_up", "done": round(time.time() * 1e6)}
        waits = deliveries.c.state == "waiting"
        connection.execute(update(deliveries).where(waits).values(late))
    database.dispose()


def whole(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert not re.search("undefined|NaN|null|{", page.locator("main").inner_text())


def test_an_operator_sees_who_was_told_and_which_stop_was_lost(
    tmp_path: Path, address: str, receiver: Receiver, open_page: OpenPage
) -> None:
    send_and_wait(address, "press-7", NORMAL_ROW)
    overview = open_page(address, width=390)
    page = open_page(f"{address}sources/press-7", width=390)
    expect(overview.locator("#lost")).to_be_empty()
    alarm(address, "press-7")
    lost = overview.locator("#lost .lost-one")  # by itself
    expect(lost).to_contain_text("Line stop NOT delivered: press-7 → signed")
    expect(lost).to_contain_text("Still being tried. It cannot be reached")
    expect(lost.get_by_role("button")).to_have_count(0)

    told = page.locator(".told")
    expect(told.locator("summary")).to_contain_text("1 of 2 messages arrived · 1 waiting")
    told.locator("summary").click()
    expect(told.locator("[data-state=sent]")).to_contain_text("Began → signed webhook")
    expect(told.locator("[data-state=waiting]")).to_contain_text(
        re.compile(r"Line stop → .*waiting, tried \d+ times\. It cannot be reached")
    )
    whole(page)

    too_late(tmp_path)
    expect(told.locator("summary")).to_contain_text("1 of 2 messages arrived · 1 given up")
    expect(told.locator("[data-state=given_up]")).to_contain_text("NOT delivered, given up")
    expect(lost).to_contain_text("Given up. It cannot be reached")
    whole(overview)
    japanese = open_page(f"{address}notifications", width=1400, language="ja")
    expect(japanese.locator("#lost")).to_contain_text("ライン停止の要求が届いていません： press-7")
    expect(japanese.locator("#lost")).to_contain_text("送信を断念しました。")
    whole(japanese)

    page.get_by_role("button", name="I know of it: press-7").click()
    expect(page.locator("#lost")).to_be_empty()
    expect(overview.locator("#lost")).to_be_empty()  # there, too, by itself
    expect(told).to_contain_text("somebody without a key knows of it")


def test_what_happened_to_a_past_alarm_tells_who_was_told(
    address: str, receiver: Receiver, open_page: OpenPage
) -> None:
    alarm(address, "press-1")
    page = open_page(f"{address}alarms")
    notify.until(lambda: receiver.heard)
    page.get_by_role("button", name="Details: press-1").click()
    expect(page.locator(".told li")).to_contain_text("Began → signed webhook")


def test_where_no_channel_is_named_nobody_was_told(tmp_path: Path, open_page: OpenPage) -> None:
    press_line_bundle(tmp_path / "bundle")
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with running(application(tmp_path, tmp_path / "bundle", alarm_rules=rules)) as address:
        alarm(address, "press-1")
        page = open_page(f"{address}sources/press-1", language="ja", width=360)
        expect(page.locator(".told")).to_contain_text("通知先が設定されていません")
        expect(page.locator("#lost")).to_be_empty()
        whole(page)
