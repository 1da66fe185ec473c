"""The page of notifications, in a real browser: the real attendant, and a real receiver."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.bundles import press_line_bundle
from tests.serving.notify import conftest as notify
from tests.serving.notify.conftest import Receiver
from tests.serving.pages.service import OpenPage, application, running

receiver = notify.receiver


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(b"of the test").decode())
    file = tmp_path / "notify.cfg"
    address = f"127.0.0.1:{receiver.port}"
    file.write_text(
        f"maintenance=signed://{address}/alarms?secret_env=HOOK_SECRET\n"
        f"maintenance,quality=json://{address}/people\n"
    )
    press_line_bundle(tmp_path / "bundle")
    return file


def sideways(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def test_a_test_reaches_its_receivers_and_their_answers_are_told(
    tmp_path: Path, config: Path, receiver: Receiver, open_page: OpenPage
) -> None:
    with running(application(tmp_path, tmp_path / "bundle", notify_config=config)) as address:
        page = open_page(f"{address}notifications", width=390)
        expect(page.locator("#channels li")).to_have_count(2)
        expect(page.locator("#standing")).to_be_empty()
        expect(page.locator("#channels li").first).to_contain_text(
            re.compile("Last arrived.*never")
        )
        page.get_by_role("button", name="Test maintenance").click()
        expect(page.locator("#results li[data-state=sent]")).to_have_count(2)
        assert "test" in [document.get("event") for document in receiver.documents()]
        expect(page.locator("#channels li").first).to_contain_text("sec ago")
        receiver.status = 503
        page.get_by_role("button", name="Test quality").click()
        failed = page.locator("#results li[data-state=given_up]")
        expect(failed).to_contain_text("It reports a failure of its own")
        expect(failed.locator("q")).to_contain_text("503")
        japanese = open_page(f"{address}notifications", language="ja", width=1400)
        expect(japanese.locator("#channels")).to_contain_text("受信側で障害が起きています")
        for each in (page, japanese):
            assert sideways(each) <= 0
            assert not re.search("undefined|NaN|null|{", each.locator("main").inner_text())
    assert len(receiver.heard) == 3


def test_a_dry_run_says_that_it_is_one(
    tmp_path: Path, config: Path, receiver: Receiver, open_page: OpenPage
) -> None:
    app = application(tmp_path, tmp_path / "bundle", notify_config=config, notify_dry_run=True)
    with running(app) as address:
        page = open_page(f"{address}notifications")
        expect(page.locator("#standing")).to_contain_text("Dry run")
        page.get_by_role("button", name="Test quality (dry run)").click()
        expect(page.locator("#results")).to_contain_text("this is a dry run")
    assert receiver.heard == []


def test_while_nobody_sends_the_page_says_so_and_who_may_not_act_cannot_press(
    tmp_path: Path, config: Path, open_page: OpenPage
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    record, key = make_key("wall", ["score"])
    keys.add(record)
    app = application(tmp_path, tmp_path / "bundle", notify_config=config, keys_file=keys.path)
    app.state.attendant.ensure = lambda: None  # as if it could not be started
    with running(app) as address:
        page = open_page(f"{address}sign-in?after=/notifications")
        page.locator("input[type=password]").fill(key)
        page.locator(".sign-in button[type=submit]").click()
        expect(page.locator("#standing")).to_contain_text("alarms wait")
        expect(page.locator("#channels-none")).to_be_visible()
        expect(page.locator("#may-not")).to_contain_text("scope operate")
        sent = page.request.post(f"{address}api/notifications/test", data={"tag": "quality"})
        assert sent.status == 403


@pytest.mark.parametrize(
    ("language", "told"), [("en", "Nobody is told of alarms"), ("ja", "誰にも通知されません")]
)
def test_without_a_configuration_the_page_says_how_to_make_one(
    tmp_path: Path, open_page: OpenPage, language: str, told: str
) -> None:
    press_line_bundle(tmp_path / "bundle")
    with running(application(tmp_path, tmp_path / "bundle")) as address:
        page = open_page(f"{address}notifications", language=language, width=360)
        expect(page.locator("main")).to_contain_text(told)
        expect(page.locator("main")).to_contain_text("KIZASHI_NOTIFY_CONFIG")
        assert sideways(page) <= 0
