"""All that happened to an alarm, unfolded in the list while more happens."""

from urllib.request import Request, urlopen

from playwright.sync_api import expect

from tests.bundles import ANOMALOUS_ROW
from tests.serving.pages.late import Late
from tests.serving.pages.service import SENDS, OpenPage, send


def test_what_happened_while_the_details_were_read_is_among_them(
    service: str, open_page: OpenPage
) -> None:
    send(service, "press-1", ANOMALOUS_ROW, 3)
    page = open_page(f"{service}alarms")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    late = Late(page, "**/api/occurrences/*")
    page.get_by_role("button", name="Details: press-1").click()
    late.wait()
    known = b'{"source": "press-1", "comment": "on my way"}'
    urlopen(Request(f"{service}api/alarms/acknowledge", known, SENDS), timeout=60).close()
    expect(page.locator("#current")).to_contain_text("on my way")
    late.let_go()
    expect(page.locator(".audit strong")).to_have_text(["Acknowledged", "Began"])
