"""The whole way from split rows to a calibrated bundle."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from kizashi.data.labelled import LabelledRows
from kizashi.data.split import LEAST_WINDOWS
from kizashi.errors import ConfigurationError, DataError
from kizashi.models.autoencoder import Autoencoder
from kizashi.runtime.bundle import Bundle, save_bundle
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector, pieces, rebuild, scaled
from kizashi.runtime.network import Network, NoNetwork, OnnxNetwork
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring import Rebuilt, Scorer
from kizashi.runtime.thresholds import CalibrationScores, Threshold
from kizashi.runtime.windows import Rows
from kizashi.training.export import export_onnx
from kizashi.training.impute import fit_missing
from kizashi.training.trainer import EpochReport, NetworkTrainer
from kizashi.training.trim import trimmed

FloatArray = npt.NDArray[np.float64]
Score = Callable[[FloatArray], FloatArray]
"""Windows in original units, shape (B, T, F), to scores, shape (B,)."""

CROSS_FIT_BLOCKS = 8
"""Blocks of cross-fitting: fits on seven eighths of the rows resemble the one on all of them."""


@dataclass(frozen=True)
class NormalRows:
    """Normal rows, part by part, in order of time.

    The network learns from `train`, and from `validation` unless training stops early on it. It
    never sees `calibration`, which sets the threshold; where that is empty, the threshold comes
    from cross-fitting. `in_time`: rows follow one another, so that one may depend on the one before
    it.
    """

    train: Rows
    validation: Rows
    calibration: Rows
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
    trim: float = 0.0
    """Share of the training windows that is left out, the strangest ones."""


@dataclass(frozen=True)
class Fitted:
    """The parts that score, fitted, and the network as it is stored."""

    scaler: Scaler
    network: Network
    scorer: Scorer
    model: bytes
    learned_BTF: FloatArray
    """The scaled windows that the network learned from."""

    def score(self, windows_BTF: FloatArray) -> FloatArray:
        """Scores of windows in original units, shape (B,)."""
        parts = [
            self.scorer.score(rebuild(self.scaler, self.network, windows_BTF[piece]))
            for piece in pieces(len(windows_BTF), windows_BTF[0].size if len(windows_BTF) else 1)
        ]
        return np.concatenate(parts)


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
    `labelled` rows are for a rule that wants labels. Without calibration rows each of a few blocks
    in time is scored by a detector fitted on the others, so that every row trains and every row
    calibrates (cross-conformal prediction: Vovk, Ann. Math. Artif. Intell. 74, 2015; CV+: Barber et
    al., Ann. Stat. 49, 2021): for data too small to give rows away.
    Raises DataError when a part holds no whole window.
    """
    length = contract.window_length
    fitted = fit_parts(recipe, length, rows.train, rows.validation, report)
    blocks: tuple[int, ...] = ()
    if len(rows.calibration):
        calibration_BTF = rows.calibration.windows(length, "calibration rows")
        scores = fitted.score(calibration_BTF)
    else:
        every = rows.train.followed_by(rows.validation)
        fit = partial(_fit_to_score, recipe, length)
        calibration_BTF, scores, blocks = cross_fit(fit, every, length)
    evidence = CalibrationScores(scores, rows.in_time, blocks=blocks)
    if labelled is not None and recipe.threshold.wants_labels:
        windows_BTF, label_B = labelled.windows(length)
        evidence = replace(evidence, labelled_scores=fitted.score(windows_BTF), labels=label_B)
    missing = fit_missing(
        contract,
        recipe.trainer,
        recipe.seed,
        fitted.learned_BTF,
        scaled(fitted.scaler, calibration_BTF),
        seen=not len(rows.calibration),
    )
    detector = Detector(
        contract=contract,
        scaler=fitted.scaler,
        network=fitted.network,
        scorer=fitted.scorer,
        calibration=Calibration(scores, blocks),
        threshold=recipe.threshold.fit(evidence),
        missing=missing,
    )
    return save_bundle(detector, fitted.model, _typical_window(calibration_BTF, scores), folder)


def fit_parts(
    recipe: Recipe,
    length: int,
    train: Rows,
    validation: Rows,
    report: EpochReport = lambda epoch, losses: None,
) -> Fitted:
    """Scaler, network and scorer, fitted on normal rows."""
    learned, seen_BTF = train, train.windows(length, "training rows")
    held_out_BTF = (
        validation.windows(length, "validation rows") if len(validation) else seen_BTF[:0]
    )
    if recipe.trainer.stops_early and not len(held_out_BTF):
        raise DataError("training stops early (patience) and there are no validation rows")
    if not recipe.trainer.stops_early and len(validation):
        # Nothing is compared on them, so they are as good for learning as the others.
        learned = train.followed_by(validation)
        seen_BTF, held_out_BTF = np.concatenate([seen_BTF, held_out_BTF]), seen_BTF[:0]
    scaler, seen_BTF = _scaled_for(recipe, learned.values_NF, seen_BTF)
    learned_BTF = scaled(scaler, seen_BTF)
    # Weights start from the seed too, so the network is made after it is set.
    torch.manual_seed(recipe.seed)
    network = recipe.network(seen_BTF.shape[2], length)
    compared_BTF = scaled(scaler, held_out_BTF)
    trained = recipe.trainer.train(network, learned_BTF, compared_BTF, recipe.seed, report)
    model = export_onnx(trained, learned_BTF[:64])
    onnx = OnnxNetwork(model)
    every_BTF = np.concatenate([seen_BTF, held_out_BTF])
    scorer = _fitted_scorer(recipe, rebuild(scaler, onnx, every_BTF))
    return Fitted(scaler, onnx, scorer, model, learned_BTF)


def _fitted_scorer(recipe: Recipe, seen: Rebuilt) -> Scorer:
    scorer = deepcopy(recipe.scorer).fit(seen)
    if not scorer.applies:
        raise ConfigurationError(f"scorer={scorer.kind} says nothing of this data; choose another")
    return scorer


def _scaled_for(
    recipe: Recipe, rows_NF: FloatArray, windows_BTF: FloatArray
) -> tuple[Scaler, FloatArray]:
    """The scaler fitted on rows, and their windows without those that are trimmed."""
    scaler = deepcopy(recipe.scaler).fit(rows_NF)
    kept_B = trimmed(scaler.transform(windows_BTF), recipe.trim)
    if not kept_B.all():
        windows_BTF = windows_BTF[kept_B]
        scaler.fit(windows_BTF.reshape(-1, windows_BTF.shape[2]))
    return scaler, windows_BTF


def cross_fit(
    fit: Callable[[Rows], Score], rows: Rows, length: int
) -> tuple[FloatArray, FloatArray, tuple[int, ...]]:
    """Windows inside each block in time, shape (B, T, F), their scores by what `fit` makes of the
    rows of the other blocks, and how many windows each block has. A block may reach over a pause,
    where no window does; over the place of a block that is left out, a few do.

    Raises DataError for too few rows, and for a block without a whole window.
    """
    needed = CROSS_FIT_BLOCKS * (length + LEAST_WINDOWS - 1)
    if len(rows) < needed:
        raise DataError(
            f"{len(rows)} rows are too few to cross-fit in {CROSS_FIT_BLOCKS} blocks; at least "
            f"{needed} are needed"
        )
    edges = np.linspace(0, len(rows), CROSS_FIT_BLOCKS + 1).astype(int)
    windows, scores = [], []
    for first, last in pairwise(edges):
        score = fit(rows.without(slice(first, last)))
        windows.append(rows[first:last].windows(length, "rows of a block of cross-fitting"))
        scores.append(score(windows[-1]))
    return np.concatenate(windows), np.concatenate(scores), tuple(map(len, scores))


def _fit_to_score(recipe: Recipe, length: int, rows: Rows) -> Score:
    """A scorer that looks at windows alone is fitted without training a network again."""
    if recipe.scorer.needs_network:
        recipe = replace(recipe, trainer=replace(recipe.trainer, patience=None, progress=False))
        return fit_parts(recipe, length, rows, rows[:0]).score
    scaler, seen_BTF = _scaled_for(recipe, rows.values_NF, rows.windows(length, "training rows"))
    scorer = _fitted_scorer(recipe, rebuild(scaler, NoNetwork(), seen_BTF))
    return Fitted(scaler, NoNetwork(), scorer, b"", scaled(scaler, seen_BTF)).score


def _typical_window(windows_BTF: FloatArray, scores: FloatArray) -> FloatArray:
    """The calibration window with the median score: the example that ships with the bundle."""
    middle = int(np.argsort(scores, kind="stable")[len(scores) // 2])
    window_TF: FloatArray = windows_BTF[middle]
    return window_TF
