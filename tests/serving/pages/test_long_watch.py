"""A page that is watched for hours stays as large as it was: no node, no row is kept for ever."""

import http.client
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import CDPSession, Page, Route, expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.pages.service import OpenPage, application, running

HISTORY, LIVE = 3600, 600
"""Rows, one a second: an hour that was before, and ten minutes while somebody watches."""
QUARTER = re.compile(r"^(8\d\d|90[0-4])$")
"""About the rows of a quarter of an hour, which the page shows; it may have gone on for seconds."""
MEGABYTE = 1024 * 1024
LOOKS = 5
LEAST_LEAK = 2.0
"""Megabytes. What a page uses goes up and down by one, as the browser compiles what runs often."""


class Gateway:
    """Sends the rows of a machine, one a second by their time, as fast as they are taken."""

    def __init__(self, address: str, source: str, begins: datetime) -> None:
        self._place = urlsplit(address).netloc
        self._source = source
        self._next = begins

    def send(self, count: int) -> None:
        """The next rows; every hundredth is an anomaly."""
        connection = http.client.HTTPConnection(self._place)
        for number in range(count):
            row = ANOMALOUS_ROW if number % 100 == 50 else NORMAL_ROW
            at = self._next.isoformat()
            body = json.dumps({"values": row, "source": self._source, "timestamp": at})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/anomaly", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            self._next += timedelta(seconds=1)
        connection.close()

    def wait_until_known(self) -> None:
        """Until the history has heard of the machine: rows are written within half a second."""
        deadline = time.monotonic() + 60
        while self._source not in self._told():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _told(self) -> str:
        connection = http.client.HTTPConnection(self._place)
        connection.request("GET", "/api/sources")
        told = connection.getresponse().read().decode()
        connection.close()
        return told


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("long")
    press_line_bundle(folder / "bundle")
    with running(application(folder, folder / "bundle")) as address:
        yield address


def _size(session: CDPSession) -> tuple[int, float]:
    """How many nodes there are, also those that no page shows any more, and the heap in MB; of
    what is still held."""
    session.send("HeapProfiler.collectGarbage")
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    found = {one["name"]: one["value"] for one in metrics}
    return int(found["Nodes"]), found["JSHeapUsedSize"] / MEGABYTE


def _least(page: Page, session: CDPSession) -> tuple[int, float]:
    """The least of some looks, of each: what is just being drawn goes again, and leaks stay."""
    sizes = []
    for _ in range(LOOKS):
        page.wait_for_timeout(500)
        sizes.append(_size(session))
    return min(nodes for nodes, _ in sizes), min(heap for _, heap in sizes)


def _session(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    return session


@pytest.mark.parametrize(("span", "shown"), [(1800, "Each row"), (3600, "By minute")])
def test_a_page_that_was_watched_is_no_larger_than_one_that_was_opened_now(
    service: str, open_page: OpenPage, span: int, shown: str
) -> None:
    source = f"press-{span}"
    begins = datetime.now(UTC) - timedelta(seconds=HISTORY + LIVE)
    gateway = Gateway(service, source, begins)
    gateway.send(HISTORY)
    address = f"{service}sources/{source}?span={span}"
    watched = open_page(address)
    expect(watched.locator("#trend-about")).to_contain_text(shown)
    expect(watched.locator("#chart .main-svg").first).to_be_visible()
    for _ in range(LIVE // 20):
        gateway.send(20)
        watched.wait_for_timeout(250)
    opened = open_page(address)
    expect(opened.locator("#chart .main-svg").first).to_be_visible()
    for page in (watched, opened):
        expect(page.locator("#expected-about")).not_to_contain_text("…")
        page.wait_for_timeout(3000)
    (nodes, heap), (new_nodes, new_heap) = (
        _least(page, _session(page)) for page in (watched, opened)
    )
    assert nodes <= 1.2 * new_nodes
    assert heap <= new_heap + LEAST_LEAK


def test_hours_of_rows_do_not_let_the_page_grow(service: str, open_page: OpenPage) -> None:
    gateway = Gateway(service, "press-5", datetime.now(UTC) - timedelta(seconds=2))
    gateway.send(2)
    gateway.wait_until_known()
    due: list[str] = []

    def answer(route: Route) -> None:
        # Each answer ends, and the page comes back for the next one.
        rows = due.pop() if due else "event: hello\ndata: {}\n\n"
        route.fulfill(body=f"retry: 200\n\n{rows}", content_type="text/event-stream")

    page = open_page(f"{service}alarms")
    page.route("**/api/events*", answer)
    page.goto(f"{service}sources/press-5")
    chart = page.locator("#chart")
    expect(chart).to_have_attribute("aria-valuemax", "1")
    newest = chart.get_attribute("aria-valuetext") or ""
    session = _session(page)
    sizes = []
    begins = time.time() + 60
    for hour in range(3):
        due.append("".join(_second("press-5", begins + 3600 * hour + at) for at in range(3600)))
        while due:
            page.wait_for_timeout(100)
        expect(chart).not_to_have_attribute("aria-valuetext", newest)
        expect(chart).to_have_attribute("aria-valuemax", QUARTER)
        newest = chart.get_attribute("aria-valuetext") or ""
        sizes.append(_least(page, session))
    (nodes, heap), *_, (last_nodes, last_heap) = sizes
    assert last_nodes <= 1.1 * nodes
    assert last_heap <= heap + LEAST_LEAK


def _second(source: str, second: float) -> str:
    """What is told of a second: the time that it is, and a row."""
    now = datetime.fromtimestamp(second, UTC).isoformat()
    told = {
        "source": source,
        "id": [round(second)],
        "time": [round(1000 * second)],
        "score": [0.5],
        "anomaly": [0],
        "values": [NORMAL_ROW],
    }
    hello = json.dumps({"now": now})
    return f"event: hello\ndata: {hello}\n\nevent: rows\ndata: {json.dumps(told)}\n\n"
