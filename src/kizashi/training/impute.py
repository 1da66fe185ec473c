"""The network that fills in missing values, trained beside the one that scores."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from kizashi.models.masked import MaskedAutoencoder
from kizashi.runtime.contract import DataContract
from kizashi.runtime.missing import MissingValues
from kizashi.runtime.network import OnnxNetwork
from kizashi.training.export import export_onnx
from kizashi.training.trainer import NetworkTrainer

FloatArray = npt.NDArray[np.float64]

SHARE_OF_STEPS = 1 / 3
"""Of those of the network that scores: a mean given other sensors is soon learned."""


def fit_missing(
    contract: DataContract,
    trainer: NetworkTrainer,
    seed: int,
    learned_BTF: FloatArray,
    calibration_BTF: FloatArray,
    *,
    seen: bool,
) -> MissingValues | None:
    """What fills in missing values, from scaled windows to learn from and others to calibrate on;
    `seen` where these are among the former. None where the contract lets nothing be missing."""
    if contract.most_missing == 0:
        return None
    steps = max(1, round(SHARE_OF_STEPS * trainer.steps))
    trainer = replace(trainer, steps=steps, patience=None, progress=False)
    torch.manual_seed(seed)
    network = MaskedAutoencoder(len(contract.sensors), contract.window_length)
    trained = trainer.train(network, learned_BTF, learned_BTF[:0], seed)
    tried_BTF = learned_BTF[:64].copy()
    tried_BTF[:, -1, 0] = np.nan
    return MissingValues(OnnxNetwork(export_onnx(trained, tried_BTF)), calibration_BTF, seen)
