"""The container's health check."""

import json
import re
from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from serving.alive import address, main
from tests.serving.services import running, wait_until

ROOT = Path(__file__).parents[2]


def test_it_asks_where_the_command_listens() -> None:
    image = {"KIZASHI_PORT": "8000"}
    assert address(dict(image), ["python", "-m", "serving"]).endswith(":8000/health/live")
    assert address(dict(image), ["python", "-m", "serving", "serve"]).endswith(":8080/health/live")
    linked = {"KIZASHI_PORT": "tcp://10.96.0.7:80"}  # by Kubernetes, beside a service `kizashi`
    assert address(linked, ["python", "-m", "serving"]).endswith(":8000/health/live")
    named = image | {"SAGEMAKER_BIND_TO_PORT": "8123"}
    assert address(named, ["python", "-m", "serving", "serve"]).endswith(":8123/health/live")


def test_it_fails_until_the_service_answers(
    press_line: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "cmdline"
    with running(press_line.folder, tmp_path) as service:
        monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", str(service.port))
        first.write_bytes(b"python\0-m\0serving\0serve\0")
        wait_until(lambda: main(first) == 0)  # which has not much patience with a busy machine
    assert main(first) == 1


def test_the_image_runs_it() -> None:
    found = re.search(r"HEALTHCHECK[^\[]*(\[.*\])", (ROOT / "Dockerfile").read_text("utf-8"))
    assert found is not None
    assert json.loads(found[1]) == ["python", "-m", "serving.alive"]
