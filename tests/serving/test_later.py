"""What no verdict needs comes after the service is ready."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving import app as app_module
from serving import routers
from serving.later import AFTER_SECONDS
from serving.threshold.desk import Desk
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW

LATE = {"sqlalchemy", "alembic", "jinja2", "yaml", "serving.pages", "serving.routers"}
UNWANTED = {"alembic", "yaml"}
"""What only tables of an older service, or a file of rules, need."""
PROGRAM = f"""
import json, sys
from serving.main import app

def imported():
    return sorted({LATE!r} & sys.modules.keys())

said = [imported()]
from starlette.testclient import TestClient
client = TestClient(app)
for path in ("/health/live", "/health/ready"):
    said.append([client.get(path).status_code, "serving.routers" in sys.modules])
answer = client.post("/anomaly", json={{"values": {ANOMALOUS_ROW!r}}})
said.append([answer.status_code, answer.json()["status"], "serving.routers" in sys.modules])
said.append([client.get("/").status_code, imported()])
print(json.dumps(said))
"""


def test_what_judges_a_row_is_ready_before_anything_else_is_imported(
    tmp_path: Path, press_line: Bundle
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "KIZASHI_CACHE": str(tmp_path / "cache"),
            "KIZASHI_MODEL_URI": str(press_line.folder),
            "KIZASHI_ALLOW_ANONYMOUS": "true",
        },
    )
    built, live, ready, judged, page = json.loads(done.stdout)
    assert built == []
    assert live == ready == [200, False]
    assert judged == [200, "anomaly", False]  # and recorded: it was answered
    assert page == [200, sorted(LATE - UNWANTED)]


@pytest.mark.parametrize("path", ["/v2", "/api/audit", "/docs", "/model", "/metrics"])
def test_the_first_request_that_needs_more_waits_for_it(
    press_line: Bundle, make_app: Callable[..., FastAPI], path: str
) -> None:
    app = make_app(press_line.folder, allow_anonymous=True)
    client = TestClient(app)
    assert not app.state.later.came
    assert client.get(path).status_code == 200
    assert app.state.later.came


def test_the_document_has_everything_whenever_it_is_asked_for(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    document = make_app(press_line.folder).openapi()
    assert {"/anomaly", "/health/ready", "/api/alarms", "/invocations"} <= set(document["paths"])


def test_what_is_answered_at_once_is_counted_under_its_route(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder, allow_anonymous=True)
    client = TestClient(app)
    client.post("/anomaly", json={"values": NORMAL_ROW})
    client.get("/health/live")
    assert not app.state.later.came
    found = client.get("/metrics").text
    for route in ("/anomaly", "/health/live"):
        assert f'route="{route}"' in found


def test_where_the_rest_cannot_come_rows_are_judged_all_the_same(
    press_line: Bundle, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routers, "install", full)
    app = make_app(press_line.folder, allow_anonymous=True, database_url="none")
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/anomaly", json={"values": NORMAL_ROW}).status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert client.get("/").status_code == 500
        monkeypatch.undo()
        assert client.get("/").status_code == 200


def test_what_comes_with_the_rest_begins_once_it_can_come(
    press_line: Bundle, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    monkeypatch.setattr(app_module, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(Desk, "look", lambda _: looked.set())
    app = make_app(press_line.folder, allow_anonymous=True, database_url="none")
    with monkeypatch.context() as at_first, TestClient(app) as client:
        at_first.setattr(routers, "install", full)
        with pytest.raises(OSError, match="no space left"):
            client.get("/")
        assert not looked.wait(2 * AFTER_SECONDS)
        at_first.undo()
        assert looked.wait(60)


def full(_app: FastAPI) -> None:
    raise OSError("no space left on device")


def test_a_host_that_is_new_judges_its_first_row_by_the_threshold_that_people_set(
    tmp_path: Path, press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    shared = {"database_url": f"sqlite:///{tmp_path}/shared.db", "allow_anonymous": True}
    with TestClient(make_app(press_line.folder, cache=tmp_path / "one", **shared)) as client:
        change = {"bundle": press_line.hash, "value": 1e6, "comment": "too loud"}
        assert client.post("/api/threshold", json=change).status_code == 200
    with TestClient(make_app(press_line.folder, cache=tmp_path / "other", **shared)) as client:
        answer = client.post("/anomaly", json={"values": ANOMALOUS_ROW})
        assert answer.json()["status"] == "normal"
