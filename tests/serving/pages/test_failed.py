"""A person who opens an address that has no page, or a broken one, is told so by a page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving.pages import deciding
from tests.bundles import press_line_bundle
from tests.serving.pages.service import OpenPage, application, running

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("failed")
    press_line_bundle(made / "bundle")
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    app = application(folder, folder / "bundle", database_url="none")
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("language", "title", "way"),
    [("en", "There is no page here", "Overview"), ("ja", "ページが見つかりません", "一覧")],
)
@pytest.mark.parametrize("path", ["nothing", "deep/er/<b>nothing"])
def test_an_address_without_a_page_leads_on(
    folder: Path, open_page: OpenPage, path: str, language: str, title: str, way: str
) -> None:
    with running(application(folder, folder / "bundle", database_url="none")) as address:
        page = open_page(f"{address}{path}", language=language)
        assert page.get_by_role("heading", level=1).inner_text() == title
        assert f"/{path}" in page.locator("main").inner_text()
        page.get_by_role("link", name=way, exact=True).click()
        page.wait_for_url(address)


def test_a_program_gets_a_problem_document(client: TestClient) -> None:
    for accept in ("*/*", "application/json"):
        answer = client.get("/nothing", headers={"Accept": accept})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    page = client.get("/nothing", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_a_page_that_breaks_names_the_request_for_who_reads_the_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(deciding, "page", broken)
    answer = client.get("/threshold", headers={**BROWSER, "X-Request-ID": "asked-1"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "asked-1"
    assert "This page failed" in answer.text and "asked-1" in answer.text
    assert "a mistake" not in answer.text
