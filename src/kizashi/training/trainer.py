"""Training with Lightning: early stopping on held-out normal windows, the best weights kept."""

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme

from kizashi.errors import ConfigurationError, DataError
from kizashi.models.autoencoder import Autoencoder
from kizashi.models.reconstruction import ReconstructionTask
from kizashi.training.batches import WindowBatches

EpochReport = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number and its losses."""


@dataclass(frozen=True)
class NetworkTrainer:
    """How a network is trained: `conf/trainer/` has the alternatives.

    `noise` is in scaled units; `patience` is how many epochs may pass without a smaller loss on
    held-out windows; `min_steps` stretches training on small data, where an epoch is few steps.
    `threads` are the CPU threads of one step: for networks of this width one is fastest, by far
    where other work wants the cores.
    Raises ConfigurationError for a value out of its range.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    max_epochs: int = 60
    min_steps: int = 1_500
    patience: int = 15
    batch_size: int = 512
    learning_rate: float = 2e-3
    noise: float = 0.05
    threads: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("max_epochs", "patience", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}; a whole number from 1 is needed"
                )
        if self.min_steps < 0:
            raise ConfigurationError(f"min_steps is {self.min_steps}; 0 or more is needed")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigurationError(
                f"learning_rate is {self.learning_rate}; a number above 0 is needed"
            )
        if not 0 <= self.noise < math.inf:
            raise ConfigurationError(f"noise is {self.noise}; 0 or more is needed")
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ConfigurationError("accelerator is 'gpu' and no GPU is there; use auto or cpu")

    def train(
        self,
        network: Autoencoder,
        train_BTF: npt.NDArray[np.float64],
        validation_BTF: npt.NDArray[np.float64],
        seed: int,
        report: EpochReport = lambda epoch, losses: None,
    ) -> Autoencoder:
        """The network with the weights that rebuilt the scaled `validation_BTF` best.

        Raises DataError when the loss stops being a number.
        """
        torch.manual_seed(seed)
        torch.set_num_threads(self.threads)
        # Without it cuBLAS refuses to be deterministic; the CPU does not look at it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        batches = WindowBatches(train_BTF, self.batch_size, shuffle=True, seed=seed)
        epochs = max(self.max_epochs, -(-self.min_steps // len(batches)))
        task = ReconstructionTask(network, self.learning_rate, self.noise, epochs * len(batches))
        best = _BestWeights(report)
        callbacks: list[Callback] = [
            best,
            EarlyStopping("validation_loss", patience=self.patience * epochs // self.max_epochs),
        ]
        if self.progress:
            callbacks.append(
                RichProgressBar(leave=False, theme=RichProgressBarTheme(metrics_format=".1e"))
            )
        validation = WindowBatches(validation_BTF, 16_384, shuffle=False)
        with _quiet():
            self._lightning(epochs, callbacks).fit(task, batches, validation)
        if best.weights is None:
            raise DataError("training gave no finite loss; check the data for extreme values")
        network.load_state_dict(best.weights)
        return network.cpu().eval()

    def _lightning(self, epochs: int, callbacks: list[Callback]) -> lightning.Trainer:
        return lightning.Trainer(
            accelerator=self.accelerator,
            devices=1,
            max_epochs=epochs,
            callbacks=callbacks,
            enable_progress_bar=self.progress,
            enable_checkpointing=False,
            enable_model_summary=False,
            logger=False,
            deterministic=True,
            num_sanity_val_steps=0,
        )


class _BestWeights(Callback):
    """Keeps the weights of the epoch with the smallest held-out loss, and passes the losses on."""

    def __init__(self, report: EpochReport) -> None:
        self.weights: dict[str, Any] | None = None
        self._smallest = float("inf")
        self._report = report

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        losses = {name: float(loss) for name, loss in trainer.callback_metrics.items()}
        self._report(trainer.current_epoch, losses)
        if losses["validation_loss"] < self._smallest:
            self._smallest = losses["validation_loss"]
            network = pl_module.network
            assert isinstance(network, Autoencoder)
            self.weights = deepcopy(network.state_dict())


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's notes on loaders and hardware say nothing that the user can act on."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
