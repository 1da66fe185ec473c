"""`deploy/local.py`: the order of training and serving, and that nothing outlives it.

`dvc` and `serving` are stand-ins found in the working folder, because the real ones take minutes;
the journey with the real ones is an end-to-end test. The settings are the real ones.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.settings import Settings

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "deploy" / "local.py"
PATIENCE_SECONDS = 120

SLEEP = "import time; time.sleep(600)"
# As dvc does: a stage in a process of its own, waited for, deaf to Ctrl-C.
LONG_REPRO = f"""
import signal, subprocess, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
stage = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
Path("stage.pid").write_text(str(stage.pid))
Path("repro-runs").touch()
stage.wait()
"""
SHORT_REPRO = "from pathlib import Path; Path('repro-done').touch()"
SERVICE = """
import time
from pathlib import Path
Path("served-after-repro" if Path("repro-done").exists() else "served").touch()
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start local.py beside a stand-in `dvc repro` and a stand-in service."""
    running: list[subprocess.Popen[str]] = []

    def starter(
        *arguments: str, repro: str, service: str = SERVICE, cached: bool, key: str | None = None
    ) -> subprocess.Popen[str]:
        for package, program in [("dvc", repro), ("serving", service)]:
            (tmp_path / package).mkdir()
            # Behind the stand-in of the program lies the package itself, with its settings.
            real = f"__path__.append({str(ROOT / package)!r})"
            (tmp_path / package / "__init__.py").write_text(real)
            (tmp_path / package / "__main__.py").write_text(program)
        if cached:
            own = Settings(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db").key
            pointer = tmp_path / ".kizashi" / (key or own) / "pointer.json"
            pointer.parent.mkdir(parents=True)
            pointer.write_text("{}")
        environment = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("KIZASHI_", "MLFLOW_"))
        }
        running.append(
            subprocess.Popen(
                [sys.executable, str(LOCAL), *arguments],
                cwd=tmp_path,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return running[-1]

    yield starter
    for process in running:
        process.terminate()  # killed, it would leave the stand-ins behind
        process.communicate()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A zombie waits for its reaper only.
        on_linux = Path("/proc").exists()
        zombie = on_linux and "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return not zombie


def test_without_a_cached_model_the_service_starts_after_repro(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    start(repro=SHORT_REPRO, cached=False)
    wait_for(tmp_path / "served-after-repro")
    assert not (tmp_path / "served").exists()


def test_asked_to_start_at_once_the_service_waits_for_the_first_model_itself(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    start("--at-once", repro=LONG_REPRO, cached=False)
    wait_for(tmp_path / "served")
    wait_for(tmp_path / "repro-runs")


def test_started_at_once_it_ends_when_there_will_be_no_model(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    local = start("--at-once", repro="raise SystemExit(7)", cached=False)
    _, said = local.communicate(timeout=PATIENCE_SECONDS)
    assert local.returncode == 7
    assert "no model to serve" in said


def test_what_another_service_has_in_the_same_cache_is_nothing_to_start_with(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    another = Settings(model_uri="models:/another").key
    local = start(repro="raise SystemExit(7)", cached=True, key=another)
    local.communicate(timeout=PATIENCE_SECONDS)
    assert local.returncode == 7
    assert not (tmp_path / "served").exists()


def test_with_a_cached_model_the_service_starts_while_repro_runs(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    start(repro=LONG_REPRO, cached=True)
    wait_for(tmp_path / "served")
    wait_for(tmp_path / "repro-runs")
    assert runs(int((tmp_path / "stage.pid").read_text()))


@pytest.mark.parametrize("cached", [False, True], ids=["training first", "training beside"])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_a_stop_ends_the_service_dvc_and_its_stage_without_a_word(
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[str]],
    cached: bool,
    number: signal.Signals,
    status: int,
) -> None:
    local = start(repro=LONG_REPRO, cached=cached)
    wait_for(tmp_path / "repro-runs")
    if cached:
        wait_for(tmp_path / "served")
    local.send_signal(number)
    _, said = local.communicate(timeout=PATIENCE_SECONDS)
    assert (local.returncode, said) == (status, "")
    assert not runs(int((tmp_path / "stage.pid").read_text()))


def test_a_failed_repro_with_nothing_to_serve_is_the_end(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    local = start(repro="raise SystemExit(7)", cached=False)
    _, said = local.communicate(timeout=PATIENCE_SECONDS)
    assert local.returncode == 7
    assert said == "dvc repro failed, and there is no model to serve yet.\n"
    assert not (tmp_path / "served").exists()


def test_a_failed_repro_beside_a_cached_model_leaves_the_service_on(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    local = start(repro="raise SystemExit(7)", cached=True)
    assert local.stderr is not None
    said = local.stderr.readline()
    assert said == "dvc repro failed; the service goes on with the model it has.\n"
    assert local.poll() is None


def test_the_status_of_a_service_that_ends_is_passed_on(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    local = start(repro=SHORT_REPRO, service="raise SystemExit(3)", cached=True)
    local.communicate(timeout=PATIENCE_SECONDS)
    assert local.returncode == 3
