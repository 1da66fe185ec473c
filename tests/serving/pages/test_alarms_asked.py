"""What an address asks of the page of alarms, and what the page says before any script runs."""

import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.errors import HistoryUnavailable
from serving.history import table_file
from serving.history.database import Database
from serving.history.occurrences import Place
from serving.pages.alarms import asked_of
from tests.bundles import NORMAL_ROW
from tests.occurrences import add_occurrences, many
from tests.serving.conftest import MakeClient

HIDDEN = re.compile(r'<a class="button" id="(\w+)" href="([^"]*)"( hidden)?>')


@pytest.fixture
def client(press_line: Bundle, make_client: MakeClient) -> TestClient:
    return make_client(press_line.folder, allow_anonymous=True)


def database_of(client: TestClient) -> Database:
    app: FastAPI = client.app  # type: ignore[assignment]
    return app.state.history.database  # type: ignore[no-any-return]


def links(page: str) -> dict[str, str]:
    """Where the links lead that are not hidden."""
    return {
        name: to.replace("&amp;", "&") for name, to, hidden in HIDDEN.findall(page) if not hidden
    }


def test_an_address_asks_for_filters_and_a_page() -> None:
    asked = asked_of({"source": " press-02 ", "kind": "", "state": "ended", "before": "12.3"})
    assert asked.given == {"source": "press-02", "state": "ended"}
    assert (asked.before, asked.after, asked.unknown) == (Place(12, 3), None, {})
    assert asked.address(after="4.5") == "alarms?source=press-02&state=ended&after=4.5"
    assert asked_of({}).address() == "alarms"


@pytest.mark.parametrize(
    ("told", "written", "entry"),
    [
        ("2026-11-29T08:00", "2026-11-29T08:00:00Z", "2026-11-29T08:00"),
        ("2026-11-29T08:00:30+09:00", "2026-11-28T23:00:30Z", "2026-11-28T23:00"),
        ("2026-11-29", "2026-11-29T00:00:00Z", "2026-11-29T00:00"),
    ],
)
def test_a_time_without_a_zone_is_of_utc(told: str, written: str, entry: str) -> None:
    asked = asked_of({"start": told})
    assert (asked.given, asked.entry("start")) == ({"start": written}, entry)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"kind": "noise"}, {"state": "normal"}, {"acknowledged": "perhaps"}, {"start": "now"}),
        *({"end": "0001-01-01T00:00:00+23:59"}, {"source": "x" * 201}),
    ],
)
def test_what_is_no_filter_is_left_out_and_said(client: TestClient, wrong: dict[str, str]) -> None:
    asked = asked_of({"label": "none", **wrong})
    assert (asked.given, asked.unknown) == ({"label": "none"}, wrong)
    page = client.get("/alarms", params=wrong)
    assert page.status_code == 200
    ((name, text),) = wrong.items()
    assert f"<code>{name}={text}</code>" in page.text


def test_a_place_of_another_form_is_the_newest_page() -> None:
    asked = asked_of({"before": "x", "after": "2.1"})
    assert (asked.before, asked.after) == (None, Place(2, 1))
    both = asked_of({"before": "3.1", "after": "2.1"})
    assert (both.before, both.after) == (Place(3, 1), None)


def test_links_lead_on_and_back_with_the_filters(client: TestClient) -> None:
    add_occurrences(database_of(client), many(100))
    first = links(client.get("/alarms?kind=anomaly").text)
    assert set(first) == {"clear", "older"}
    assert first["older"].startswith("alarms?kind=anomaly&before=")
    second = links(client.get(f"/{first['older']}").text)
    assert set(second) == {"clear", "newer", "newest"}
    assert second["newest"] == "alarms?kind=anomaly"
    assert set(links(client.get(f"/{second['newer']}").text)) == set(first)


def test_nothing_found_is_told_from_nothing_there_yet(client: TestClient) -> None:
    assert 'id="past-never">' in client.get("/alarms").text
    add_occurrences(database_of(client), many(3))
    filtered = client.get("/alarms?kind=drift").text
    assert 'id="past-none">' in filtered and 'id="past-never" hidden' in filtered
    assert 'id="past-no-older">' in client.get("/alarms?before=1.1").text


def test_files_are_linked_with_the_filters(client: TestClient) -> None:
    add_occurrences(database_of(client), many(3))
    page = client.get("/alarms?source=press-01&kind=silence").text
    (path,) = re.findall(r'id="export-parquet" href="([^"]+)"', page)
    assert path == "api/occurrences/export?source=press-01&amp;kind=silence&amp;format=parquet"
    assert client.get(f"/{path.replace('&amp;', '&')}").status_code == 200


@pytest.mark.parametrize("path", ["/alarms", "/sources/press-01"])
def test_without_the_extra_there_is_no_parquet_and_the_page_says_why(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    client.post("/anomaly", json={"values": NORMAL_ROW, "source": "press-01"})
    add_occurrences(database_of(client), [{}])
    assert "export-parquet" in client.get(path).text
    monkeypatch.setattr(table_file, "find_spec", lambda _: None)
    page = client.get(path).text
    assert "export-csv" in page and "export-parquet" not in page
    assert "pip install &#39;kizashi[arrow]&#39;" in page or "pip install 'kizashi[arrow]'" in page


def test_the_page_comes_while_the_database_is_away(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Database) -> None:
        raise HistoryUnavailable("away")

    monkeypatch.setattr(Database, "read", away)
    page = client.get("/alarms?kind=anomaly")
    assert page.status_code == 200
    assert 'id="past-none" hidden' in page.text
