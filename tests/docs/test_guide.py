"""The parts that the data scientist's guide writes become a detector that serves."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kizashi.runtime.contract import DataContract
from kizashi.runtime.scaling import SCALERS
from kizashi.runtime.scoring import ReconstructionError
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows, Recipe, fit_bundle
from kizashi.training.trainer import NetworkTrainer
from tests.bundles import PRESS_LINE, press_line_rows
from tests.docs.markdown import GUIDE, blocks


def written(name: str) -> Any:
    """The class of this name as the guide has it."""
    [text] = [block.text for block in blocks(GUIDE, "python") if f"class {name}(" in block.text]
    namespace: dict[str, Any] = {"__name__": "guide"}
    exec(compile(text, str(GUIDE), "exec"), namespace)
    return namespace[name]


def test_a_network_and_a_scaler_of_ones_own_make_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaler, network = written("MaxAbsScaler"), written("ConvAutoencoder")
    monkeypatch.setitem(SCALERS, scaler.kind, scaler)
    recipe = Recipe(
        network=partial(network, channels=2),
        scaler=scaler(),
        scorer=ReconstructionError(),
        threshold=ConformalThreshold(0.01),
        trainer=NetworkTrainer(accelerator="cpu", steps=50, progress=False),
    )
    rows_NF = press_line_rows(2000)
    rows = Rows(rows_NF)
    parts = NormalRows(rows[:1200], rows[1200:1400], rows[1400:])
    bundle = fit_bundle(recipe, DataContract(PRESS_LINE, window_length=5), parts, tmp_path)
    assert bundle.detector.scaler.kind == "maxabs"
    assert bundle.detector.score(bundle.detector.windows(rows_NF)).shape == (1996,)
    bundle.check_example()
