"""The service over small real bundles."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.settings import Settings
from tests.bundles import press_line_bundle

MakeClient = Callable[..., TestClient]


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
