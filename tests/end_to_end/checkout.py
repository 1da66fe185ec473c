"""A temporary checkout of the project, and the commands that a user types in it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

JOURNEY = [
    pytest.mark.end_to_end,
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy is deprecated",  # MLflow's own queries
    ),
]
PROJECT = Path(__file__).parents[2]
PATIENCE_SECONDS = 1200
OUTSIDE = ("GIT_", "KIZASHI_", "MLFLOW_", "DVC_", "PYTHON")
"""What must not reach the commands from the shell or the hook that runs the tests."""


@dataclass(frozen=True)
class Checkout:
    """One checkout with this project's environment, as `make` would use it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands; the environment's own `kizashi` is that of another checkout, so
        this one's stands before it."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(OUTSIDE)}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / "dvc-site-cache"),
            "DO_NOT_TRACK": "true",
            "COLUMNS": "200",
        }

    @property
    def tracking_uri(self) -> str:
        """Of the default MLflow store, seen from anywhere."""
        return f"sqlite:///{self.folder}/mlflow.db"

    def runs(self) -> dict[str, Run]:
        """The recorded runs of every experiment, by id."""
        client = MlflowClient(self.tracking_uri, self.tracking_uri)
        experiments = [found.experiment_id for found in client.search_experiments()]
        return {run.info.run_id: run for run in client.search_runs(experiments)}

    def python(self, *arguments: str) -> str:
        """What `python ARGUMENTS` prints; an exit status other than 0 fails the test."""
        return self.run("python", *arguments)

    def run(self, *command: str) -> str:
        """What `command` prints, both streams; an exit status other than 0 fails the test."""
        return run(command, self.folder, self.environment)

    def commit(self, message: str) -> None:
        """Commit every change."""
        who = ("-c", "user.name=Kizashi", "-c", "user.email=kizashi@localhost")
        self.run("git", "add", "--all")
        self.run("git", *who, "commit", "--quiet", "--no-verify", "--message", message)


def clone(folder: Path) -> Checkout:
    """A clone of the project as it lies here, uncommitted changes included."""
    checkout = Checkout(folder)
    outside = Checkout(PROJECT)
    outside.run("git", "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(folder))
    listed = outside.run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return checkout


def run(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> str:
    """What `command` prints, both streams; an exit status other than 0 fails the test."""
    with started(command, folder, environment, subprocess.PIPE) as process:
        text = str(process.communicate(timeout=PATIENCE_SECONDS)[0])
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}:\n{text}"
    return text


@contextmanager
def started(
    command: tuple[str, ...], folder: Path, environment: dict[str, str], output: int
) -> Iterator[subprocess.Popen[str]]:
    """A process that writes both streams to `output`; nothing of what it starts outlives this."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
