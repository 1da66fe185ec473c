"""HEAD, as monitors ask, over a connection: the body is the server's to leave out."""

from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.bundles import press_line_bundle
from tests.serving.services import listening

READ = ["/docs", "/metrics", "/model", "/v2", "/v2/health/ready", "/health/ready", "/ping"]


@pytest.mark.parametrize("path", READ)
def test_head_says_what_get_says_without_the_body(
    make_app: Callable[..., FastAPI], tmp_path: Path, path: str
) -> None:
    with listening(make_app(press_line_bundle(tmp_path / "bundle").folder)) as service:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        told = []
        for method in ("HEAD", "GET"):  # over one connection: a body would be taken for an answer
            connection.request(method, path)
            answer = connection.getresponse()
            told.append((answer.status, answer.getheader("content-type")))
            assert bool(answer.read()) == (method == "GET")
        connection.close()
    assert told[0] == told[1] and told[0][0] == 200


def test_head_is_not_answered_where_get_is_not(
    make_app: Callable[..., FastAPI], tmp_path: Path
) -> None:
    with listening(make_app(press_line_bundle(tmp_path / "bundle").folder)) as service:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.request("HEAD", "/anomaly")
        assert connection.getresponse().status == 405
        connection.close()
