"""A service with keys."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.serving.conftest import MakeClient

ROW = {"values": [1.2, 0.9, 1.1]}
MakeKey = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> MakeKey:
    """Makes a key in the file that the application reads, and returns it."""

    def made(*scopes: str, **more: Any) -> str:
        record, key = make_key("press-01", list(scopes or ["score"]), **more)  # type: ignore[arg-type]
        KeyFile(tmp_path / "cache" / "keys.json").add(record)
        return key

    return made


@pytest.fixture
def keyed(press_line: Bundle, make: MakeKey, make_client: MakeClient) -> tuple[TestClient, str]:
    key = make()
    return make_client(press_line.folder), key
