"""The service in an environment with its own dependencies and no others."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.ports import reserved
from kizashi.registry import Registry
from tests.end_to_end.checkout import JOURNEY, PROJECT, Checkout, run
from tests.end_to_end.service import START_SECONDS, Service, service

pytestmark = JOURNEY
TRAINING = ("dvc", "hydra", "matplotlib", "pandas", "pyarrow", "pytorch_lightning", "torch")
SEEN_BY_A_WORKER = f"""
import importlib.util, sys
import serving.main
present = [name for name in {TRAINING!r} if importlib.util.find_spec(name)]
print("training libraries installed:", present)
print("mlflow imported:", "mlflow" in sys.modules)
"""
SKINNY = """
from importlib.metadata import distributions
names = {one.name.lower() for one in distributions()}
print(sorted(name for name in names if name.startswith("mlflow")))
"""


@pytest.fixture(scope="module")
def environment(trained: Checkout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for commands in an environment made of requirements/serving.txt alone."""
    made = tmp_path_factory.mktemp("serving") / "venv"
    uv = shutil.which("uv") or str(PROJECT / ".uv" / "bin" / "uv")
    assert Path(uv).exists(), "uv is neither on PATH nor in .uv/; `make test` brings it"
    variables = trained.environment
    lock = str(trained.folder / "requirements" / "serving.txt")
    run((uv, "venv", "--quiet", "--python", sys.executable, str(made)), made.parent, variables)
    python = str(made / "bin" / "python")
    sync = (uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock)
    run(sync, made.parent, variables)
    return variables | {
        "PATH": f"{made}/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{trained.folder}/src:{trained.folder}",
    }


def test_a_worker_needs_no_training_library_and_imports_no_mlflow(
    environment: dict[str, str], tmp_path: Path
) -> None:
    printed = run(("python", "-c", SEEN_BY_A_WORKER), tmp_path, environment)
    assert "training libraries installed: []" in printed
    assert "mlflow imported: False" in printed
    assert run(("python", "-c", SKINNY), tmp_path, environment) == "['mlflow-skinny']\n"


def test_it_serves_a_bundle_folder(
    trained: Checkout, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = trained.folder / "artifacts" / "bundle"
    settings = {"KIZASHI_MODEL_URI": str(folder)}
    with serving(tmp_path, environment | settings) as running:
        assert_scores(running)
        running.wait(lambda: reach(running) == "not used", START_SECONDS)


def test_it_follows_a_sqlite_registry(
    trained: Checkout, environment: dict[str, str], tmp_path: Path
) -> None:
    settings = {
        "KIZASHI_MODEL_URI": "models:/kizashi",
        "MLFLOW_TRACKING_URI": trained.tracking_uri,
    }
    with serving(tmp_path, environment | settings) as running:
        assert_scores(running)
        production = Registry(trained.tracking_uri).production()
        assert production is not None and running.version() == production.version
        running.wait(lambda: reach(running) == "reachable", START_SECONDS)


@contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[Service]:
    """The service that `environment` describes, once it is ready."""
    with reserved() as port:
        settings = environment | {"KIZASHI_PORT": str(port)}
        command = ("python", "-m", "serving")
        with service(command, folder, settings, port, "/health/ready") as running:
            yield running


def reach(running: Service) -> str:
    """What readiness says of the registry; "unknown" until the follower's first word."""
    return str(running.get("/health/ready")["registry"])


def assert_scores(running: Service) -> None:
    normal = running.post("/anomaly", {"values": [1.2, 0.9, 1.1]}).content
    anomalous = running.post("/anomaly", {"values": [1, 2, 3]}).content
    assert (normal["status"], anomalous["status"]) == ("normal", "anomaly")
