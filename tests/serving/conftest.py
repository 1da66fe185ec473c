"""The service over small real bundles."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.settings import Settings
from tests.bundles import press_line_bundle

MakeClient = Callable[..., TestClient]
HISTORY_THREADS = {"history", "upkeep"}


@pytest.fixture(scope="module", autouse=True)
def no_thread_outlives_its_module() -> Iterator[None]:
    """Alembic keeps what it runs in globals, and so does the MLflow that some tests use in this
    process: a history that is still being made would migrate a registry that is being made."""
    yield
    for thread in threading.enumerate():
        if thread.name in HISTORY_THREADS:
            thread.join(30)


@pytest.fixture
def press_line(tmp_path: Path) -> Bundle:
    return press_line_bundle(tmp_path / "press-line")


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., FastAPI]:
    """The application over a bundle folder, with other settings by keyword."""

    def made(folder: Path, **settings: object) -> FastAPI:
        values = {"model_uri": str(folder), "cache": tmp_path / "cache"} | settings
        return create_app(Settings.model_validate(values))

    return made


@pytest.fixture
def make_client(make_app: Callable[..., FastAPI]) -> MakeClient:
    """A client without the application's lifespan: no follower runs, a worker serves by itself."""

    def made(folder: Path, **settings: object) -> TestClient:
        return TestClient(make_app(folder, **settings), raise_server_exceptions=False)

    return made


@pytest.fixture
def client(press_line: Bundle, make_client: MakeClient) -> TestClient:
    return make_client(press_line.folder)
