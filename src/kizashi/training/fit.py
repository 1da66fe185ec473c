"""The whole way from split rows to a calibrated bundle."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from kizashi.data.labelled import LabelledRows
from kizashi.models.autoencoder import Autoencoder
from kizashi.runtime.bundle import Bundle, save_bundle
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector, residuals
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring import Scorer
from kizashi.runtime.thresholds import CalibrationScores, Threshold
from kizashi.runtime.windows import sliding_windows
from kizashi.training.export import export_onnx
from kizashi.training.trainer import EpochReport, NetworkTrainer

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NormalRows:
    """Normal rows in original units, each part of shape (N, F), in order of time.

    The network learns from `train`, stops early on `validation`, and never sees `calibration`,
    which sets the threshold. `in_time`: rows follow one another, so that one may depend on the one
    before it.
    """

    train: FloatArray
    validation: FloatArray
    calibration: FloatArray
    in_time: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Recipe:
    """What a detector is made of, before it has seen data."""

    network: Callable[[int, int], Autoencoder]
    """Makes the network from the number of sensors and the window length."""
    scaler: Scaler
    scorer: Scorer
    threshold: Threshold
    trainer: NetworkTrainer
    seed: int = 0


def fit_bundle(
    recipe: Recipe,
    contract: DataContract,
    rows: NormalRows,
    folder: Path,
    report: EpochReport = lambda epoch, losses: None,
    labelled: LabelledRows | None = None,
) -> Bundle:
    """Train, calibrate and save a detector; returns the bundle as loaded from `folder`.

    The threshold is calibrated through the exported network, so what is calibrated is what serves;
    `labelled` rows are for a rule that wants labels.
    Raises DataError when a part has fewer rows than one window.
    """

    def windows(part: FloatArray) -> FloatArray:
        return np.asarray(sliding_windows(part, contract.window_length))

    recipe.scaler.fit(rows.train)
    scaled_BTF = recipe.scaler.transform(windows(rows.train))
    validation_BTF = recipe.scaler.transform(windows(rows.validation))
    # Weights start from the seed too, so the network is made after it is set.
    network = _seeded_network(recipe, contract)
    trained = recipe.trainer.train(network, scaled_BTF, validation_BTF, recipe.seed, report)
    model = export_onnx(trained, validation_BTF[:64])
    onnx = OnnxNetwork(model)

    seen_BTF = np.concatenate([windows(rows.train), windows(rows.validation)])
    recipe.scorer.fit(residuals(recipe.scaler, onnx, seen_BTF)[0])
    calibration_BTF = windows(rows.calibration)

    def score(windows_BTF: FloatArray) -> FloatArray:
        return recipe.scorer.score(residuals(recipe.scaler, onnx, windows_BTF)[0])

    scores = score(calibration_BTF)
    evidence = CalibrationScores(scores, rows.in_time)
    if labelled is not None and recipe.threshold.wants_labels:
        windows_BTF, label_B = labelled.windows(contract.window_length)
        evidence = replace(evidence, labelled_scores=score(windows_BTF), labels=label_B)
    detector = Detector(
        contract=contract,
        scaler=recipe.scaler,
        network=onnx,
        scorer=recipe.scorer,
        calibration=Calibration(scores),
        threshold=recipe.threshold.fit(evidence),
    )
    return save_bundle(detector, model, _typical_window(calibration_BTF, scores), folder)


def _seeded_network(recipe: Recipe, contract: DataContract) -> Autoencoder:
    torch.manual_seed(recipe.seed)
    return recipe.network(len(contract.sensors), contract.window_length)


def _typical_window(windows_BTF: FloatArray, scores: FloatArray) -> FloatArray:
    """The calibration window with the median score: the example that ships with the bundle."""
    middle = int(np.argsort(scores, kind="stable")[len(scores) // 2])
    window_TF: FloatArray = windows_BTF[middle]
    return window_TF
