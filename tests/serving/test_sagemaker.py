"""The service as SageMaker starts it."""

import socket
from pathlib import Path

import pytest

from serving.__main__ import main
from serving.sagemaker import prepare
from serving.settings import read_settings
from tests.bundles import press_line_bundle


def test_it_listens_where_sagemaker_asks(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    prepare(environment, tmp_path / "none")
    assert environment == {"KIZASHI_HOST": "0.0.0.0", "KIZASHI_PORT": "8080"}
    environment = {"SAGEMAKER_BIND_TO_PORT": "8123"}
    prepare(environment, tmp_path / "none")
    assert environment["KIZASHI_PORT"] == "8123"


def test_the_unpacked_model_is_served(tmp_path: Path) -> None:
    bundle = press_line_bundle(tmp_path / "model")
    environment: dict[str, str] = {}
    prepare(environment, bundle.folder)
    assert environment["KIZASHI_MODEL_URI"] == str(bundle.folder)


def test_what_is_set_stays(tmp_path: Path) -> None:
    own = {"KIZASHI_HOST": "127.0.0.1", "KIZASHI_MODEL_URI": "models:/kizashi"}
    environment = own | {"KIZASHI_PORT": "8000"}  # as in the image
    prepare(environment, tmp_path)
    assert environment == own | {"KIZASHI_PORT": "8080"}


def test_the_argument_serve_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", str(port))
        monkeypatch.setenv("KIZASHI_HOST", "127.0.0.1")
        monkeypatch.setenv("KIZASHI_CACHE", str(tmp_path))
        monkeypatch.setenv("KIZASHI_PORT", "8000")
        assert main(["serve", "--check"]) == 1
        assert read_settings().port == port
    assert f"port {port} on 127.0.0.1 is taken" in capsys.readouterr().err
