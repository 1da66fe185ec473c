"""A small trained bundle that fills in missing values."""

from pathlib import Path

import numpy as np

from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract
from kizashi.runtime.scaling import CompressedScaler
from kizashi.runtime.scoring import JointScore, NearestNormal, ReconstructionError
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows, Recipe, fit_bundle
from kizashi.training.trainer import NetworkTrainer
from tests.bundles import PRESS_LINE, press_line_rows


def filling_bundle(
    folder: Path,
    *,
    alpha: float = 0.05,
    window_length: int = 1,
    calibration: int = 1500,
    missing: str = "impute",
    seed: int = 0,
) -> Bundle:
    """A press line's bundle and its default scorer; with `calibration` 0 cross-fitted."""
    rows_NF = press_line_rows(3000, seed)
    learned, rest = np.split(rows_NF, [1500])
    recipe = Recipe(
        network=DenseAutoencoder,
        scaler=CompressedScaler(),
        scorer=JointScore([ReconstructionError(), NearestNormal(500)]),
        threshold=ConformalThreshold(alpha),
        trainer=NetworkTrainer("cpu", steps=300, batch_size=128, progress=False),
        seed=seed,
    )
    contract = DataContract(PRESS_LINE, window_length, missing=missing)
    rows = NormalRows(Rows(learned), Rows(rows_NF[:0]), Rows(rest[:calibration]))
    return fit_bundle(recipe, contract, rows, folder)
