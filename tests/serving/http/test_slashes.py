"""Addresses that lead on are relative: they hold below a path of a proxy, and over HTTPS."""

from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

PROXY = "https://plant.example/line-2"


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/anomaly/", "/anomaly"),
        ("/anomaly/batch/?keep=false", "/anomaly/batch?keep=false"),
        ("/v2/models/kizashi/infer/", "/v2/models/kizashi/infer"),
        ("/alarms/", "/alarms"),
        ("/static", "/static/"),
    ],
)
def test_a_slash_too_many_or_too_few_leads_on_below_a_proxys_path(
    client: TestClient, path: str, answered: str
) -> None:
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 307
    assert urljoin(PROXY + path, answer.headers["location"]) == PROXY + answered


@pytest.mark.parametrize("path", ["/nowhere/", "/nowhere", "/anomaly//"])
def test_what_nothing_answers_leads_nowhere(client: TestClient, path: str) -> None:
    assert client.get(path, follow_redirects=False).status_code == 404


def test_the_document_says_that_the_service_is_where_the_document_is(client: TestClient) -> None:
    (server,) = client.get("/openapi.json").json()["servers"]
    assert urljoin(f"{PROXY}/openapi.json", server["url"]) == f"{PROXY}/"
