"""The service over bundles of one row, of windows, and of one that fills in missing values."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.settings import Settings
from tests.bundles import press_line_bundle
from tests.filling import filling_bundle


def application(bundle: Path, cache: Path, **settings: object) -> FastAPI:
    values = {"model_uri": str(bundle), "cache": cache}
    return create_app(Settings.model_validate(values | settings))


@pytest.fixture
def windowed(tmp_path: Path, make_client: Callable[..., TestClient]) -> TestClient:
    """A service whose model, named `windowed`, judges windows of three rows."""
    return make_client(press_line_bundle(tmp_path / "windowed", window_length=3).folder)


@pytest.fixture
def nothing(tmp_path: Path, make_client: Callable[..., TestClient]) -> TestClient:
    """A service without a model."""
    return make_client(tmp_path / "no-bundle")


@pytest.fixture(scope="session")
def filling(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A service whose model, named `filling`, fills in missing values."""
    folder = tmp_path_factory.mktemp("filling-service")
    bundle = filling_bundle(folder / "filling")
    app = application(bundle.folder, folder / "cache")
    return TestClient(app, raise_server_exceptions=False)


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of a server that runs `app`; no follower runs, a worker serves by itself."""
    config = uvicorn.Config(
        app, port=0, log_level="warning", ws="none", lifespan="off", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the service did not start")
            thread.join(0.02)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(press_line: Bundle, make_app: Callable[..., FastAPI]) -> Iterator[str]:
    """Where a real service listens, for the protocols' own clients."""
    with running(make_app(press_line.folder)) as where:
        yield where
