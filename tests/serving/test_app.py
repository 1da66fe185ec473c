import asyncio
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving import app as app_module
from serving.app import create_app
from serving.following.cache import Status, now
from serving.following.follower_lock import take_lock
from serving.settings import Settings
from tests.bundles import NORMAL_ROW, press_line_bundle
from tests.serving.conftest import MakeClient

HEAVY = ("torch", "lightning", "pytorch_lightning", "hydra", "pandas", "pyarrow", "mlflow")


def test_a_worker_imports_no_training_library_and_no_mlflow(tmp_path: Path) -> None:
    program = (
        f"import sys, serving.main\nprint(*(name for name in {HEAVY} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "KIZASHI_CACHE": str(tmp_path)},
    )
    assert done.stdout.strip() == ""


def test_building_the_application_touches_nothing(tmp_path: Path) -> None:
    create_app(Settings(cache=tmp_path / "cache", model_uri=str(tmp_path / "model")))
    assert list(tmp_path.iterdir()) == []


def test_within_its_lifespan_the_first_request_is_answered(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder)
    with TestClient(app) as client:
        answer = client.post("/anomaly", json={"values": [1, 2, 3]})
        assert answer.status_code == 200
        while client.get("/health/ready").json()["registry"] == "unknown":
            time.sleep(0.05)  # until its follower has looked
        assert client.get("/health/ready").json()["registry"] == "not used"


def test_with_no_model_the_service_starts_and_says_so(
    tmp_path: Path, make_app: Callable[..., FastAPI]
) -> None:
    with TestClient(make_app(tmp_path / "nothing")) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 503
        assert client.get("/").status_code == 503


def test_a_cache_that_cannot_be_written_leaves_the_service_up_and_saying_why(
    tmp_path: Path, press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with TestClient(make_app(press_line.folder, cache=tmp_path / "file")) as client:
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert "cannot be written to" in answer.text


def test_a_cached_model_is_served_without_any_registry(tmp_path: Path, press_line: Bundle) -> None:
    settings = Settings(cache=tmp_path / "cache", tracking_uri=f"sqlite:///{tmp_path}/gone.db")
    app = create_app(settings)
    cache = app.state.detectors.cache
    cache.adopt(press_line.folder, name="kizashi", version="7", source="models:/m-1", tags={})
    with TestClient(app) as client:
        assert client.post("/anomaly", json={"values": NORMAL_ROW}).status_code == 200
        assert client.get("/health/ready").json()["model"]["version"] == "7"


def test_a_worker_does_not_wait_for_a_follower_that_has_found_nothing(
    tmp_path: Path, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "FIRST_MODEL_SECONDS", math.inf)
    app = make_app(tmp_path / "nothing")
    cache = app.state.detectors.cache
    cache.create()
    lock = take_lock(cache.lock_file)
    assert lock is not None
    cache.write_status(Status(registry="unreachable", problem="no route to it", since=now()))

    async def start() -> None:
        async with asyncio.timeout(120), app.router.lifespan_context(app):
            assert app.state.detectors.current is None

    asyncio.run(start())
    os.close(lock)


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nothing", 404, "there is nothing at '/nothing'"),
        ("GET", "/anomaly", 405, "GET is not answered here; POST is"),
        ("DELETE", "/anomaly/batch", 405, "DELETE is not answered here; POST is"),
        ("POST", "/model", 405, "POST is not answered here; GET is"),
    ],
)
def test_wrong_addresses_and_methods_are_problem_documents(
    client: TestClient, method: str, path: str, status: int, said: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == said
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_an_unexpected_failure_shows_no_trace(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a secret of the inside")

    answer = TestClient(app, raise_server_exceptions=False).get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_loads_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "http://" not in page.text
    assets = [
        piece.split('"')[0]
        for attribute in ('src="', 'href="')
        for piece in page.text.split(attribute)[1:]
    ]
    assert assets
    assert re.search(r"""["']openapi.json["']""", page.text)
    for asset in assets:
        assert not asset.startswith("/")  # a proxy may put a path before it
        assert client.get(asset).status_code == 200


def test_ready_says_what_is_served(client: TestClient, press_line: Bundle) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert answer.json()["model"]["bundle"] == press_line.hash
    assert answer.json()["notes"] == []


def test_ready_says_why_it_is_not(tmp_path: Path, make_client: MakeClient) -> None:
    answer = make_client(tmp_path / "nothing").get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "manifest.json cannot be read" in answer.json()["reason"]
    assert answer.json()["model"] is None


def test_model_shows_contract_threshold_lineage_and_calibration(
    client: TestClient, press_line: Bundle
) -> None:
    client.app.state.detectors.cache.adopt(  # type: ignore[attr-defined]
        press_line.folder,
        name="kizashi",
        version="3",
        source="models:/m-1",
        tags={"git_commit": "abc", "bundle_hash": press_line.hash},
    )
    shown = client.get("/model").json()
    assert (shown["name"], shown["version"], shown["bundle"]) == ("kizashi", "3", press_line.hash)
    assert shown["tags"]["git_commit"] == "abc"
    assert shown["contract"]["window_length"] == 1
    assert shown["contract"]["sensors"][0] == {
        "name": "vibration",
        "unit": "mm/s",
        "low": 0.0,
        "high": 20.0,
    }
    threshold = press_line.detector.threshold
    assert shown["threshold"]["value"] == threshold.value
    assert shown["threshold"]["rule"] == shown["threshold"]["in_effect"] == "conformal"
    assert (shown["threshold"]["reason"], shown["threshold"]["details"]) == ("", {})
    assert shown["threshold"]["guarantee"] == threshold.guarantee
    assert sum(shown["calibration"]["counts"]) == threshold.calibration_rows
    assert len(shown["calibration"]["edges"]) == len(shown["calibration"]["counts"]) + 1
    assert shown["example"] == [NORMAL_ROW]


def test_model_is_503_without_one(tmp_path: Path, make_client: MakeClient) -> None:
    answer = make_client(tmp_path / "nothing").get("/model")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_client_that_skips_the_lifespan_is_answered(tmp_path: Path) -> None:
    press_line_bundle(tmp_path / "model")
    app = create_app(Settings(model_uri=str(tmp_path / "model"), cache=tmp_path / "cache"))
    client = TestClient(app)
    assert client.post("/anomaly", json={"values": [1, 2, 3]}).status_code == 200
