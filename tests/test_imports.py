"""What starting a part costs: heavy libraries stay out where nothing needs them.

Each part is imported by an interpreter of its own, because another test may have imported anything.
"""

import json
import subprocess
import sys

import pytest

TRAINING = {"torch", "lightning", "pytorch_lightning"}
CONFIGURATION = {"hydra", "omegaconf", "dvc"}
TABLES = {"pandas", "pyarrow", "pandera", "matplotlib", "scipy", "sklearn"}
HEAVY = TRAINING | CONFIGURATION | TABLES | {"mlflow", "onnxruntime", "onnx", "numpy", "fastapi"}

LIST_MODULES = """
import importlib, json, pkgutil, sys
names = sys.argv[1:]
for name in names:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        importlib.import_module(found.name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

ROOMS = [
    (["kizashi.errors"], HEAVY),
    (["kizashi.runtime"], TRAINING | CONFIGURATION | TABLES | {"mlflow", "fastapi", "onnx"}),
    (["kizashi.data"], TRAINING | CONFIGURATION | {"mlflow", "fastapi"}),
    (["kizashi.evaluation"], TRAINING | CONFIGURATION | {"mlflow", "fastapi"}),
    (["kizashi.registry", "kizashi.tracking"], TRAINING | CONFIGURATION | {"mlflow", "pandas"}),
    (["kizashi.pyfunc"], TRAINING | CONFIGURATION | {"mlflow", "fastapi"}),
]


def imported(*names: str) -> set[str]:
    """Top-level modules loaded once `names`, and every module inside them, are imported."""
    answer = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout))


def test_importing_the_package_alone_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import kizashi; print(*set(sys.modules) - before)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["kizashi"]


@pytest.mark.parametrize(
    ("rooms", "forbidden"), [pytest.param(*each, id=" ".join(each[0])) for each in ROOMS]
)
def test_a_room_imports_no_library_that_it_does_not_need(
    rooms: list[str], forbidden: set[str]
) -> None:
    loaded = imported(*rooms)
    assert "kizashi" in loaded
    assert loaded & forbidden == set()


def test_the_check_itself_sees_what_a_room_imports() -> None:
    loaded = imported("kizashi.runtime")
    assert {"numpy", "onnxruntime"} <= loaded
