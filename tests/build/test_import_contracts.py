"""The import contracts hold, and each fails when the code breaks it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BREACHES = [
    ("rooms", "src/kizashi/runtime/scoring.py", "import kizashi.data.split"),
    ("rooms", "src/kizashi/evaluation/metrics.py", "import kizashi.training.fit"),
    ("rooms", "src/kizashi/errors.py", "import kizashi.runtime.contract"),
    ("apart", "serving/app.py", "import pipelines.train"),
    ("apart", "pipelines/train.py", "import serving.app"),
    ("apart", "src/kizashi/registry.py", "import serving.following.cache"),
    ("serving-rooms", "serving/health.py", "from kizashi import registry"),
    ("workers", "serving/app.py", "from serving.following import follower"),
    ("told-of-what-is-kept", "serving/history/views.py", "import serving.notify.answers"),
    ("torch-free", "src/kizashi/runtime/network.py", "import torch"),
    ("torch-free", "serving/model.py", "import mlflow"),
    ("torch-free", "serving/verdicts/batch.py", "import pandas"),
    ("one-heavy-stage", "src/kizashi/data/validate.py", "import pytorch_lightning"),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the contracts speak of, to break them in."""
    for name in ["src", "pipelines", "serving"]:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    # The script beside this interpreter; the copy's own packages come before the installed one.
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    if contract is not None:
        command += ["--contract", contract]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_holds(checkout: Path) -> None:
    linted = lint_imports(checkout)
    assert linted.returncode == 0, linted.stdout
    assert " 0 broken" in linted.stdout


@pytest.mark.parametrize(("contract", "module", "line"), BREACHES)
def test_an_import_in_the_wrong_direction_breaks_its_contract(
    checkout: Path, contract: str, module: str, line: str
) -> None:
    with (checkout / module).open("a") as source:
        source.write(f"\n{line}\n")
    linted = lint_imports(checkout, contract)
    assert linted.returncode == 1
    assert "BROKEN" in linted.stdout
    dotted = module.removeprefix("src/").removesuffix(".py").replace("/", ".")
    assert dotted in linted.stdout.split("Broken contracts")[1]
