"""Training with Lightning: a fixed number of steps, or until held-out windows stop improving."""

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
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme

from kizashi.errors import ConfigurationError, DataError
from kizashi.models.autoencoder import Autoencoder
from kizashi.models.reconstruction import ReconstructionTask
from kizashi.training.batches import OrderedBatches, RandomBatches

EpochReport = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number and its losses."""

REPORT_EVERY = 50
CLIPPED_GRADIENT = 10.0
"""Far above the usual norm: it only keeps one wild batch from throwing the weights away."""


@dataclass(frozen=True)
class NetworkTrainer:
    """How a network is trained: `conf/trainer/` has the alternatives.

    Every REPORT_EVERY steps are an epoch, after which losses are reported. `patience` is how many
    epochs may pass without a smaller loss on held-out windows; the best weights are then kept. None
    takes all the steps, and leaves no window out of training. `noise` is in scaled units.
    `threads` are the CPU threads of one step: for networks of this width one is fastest, by far
    where other work wants the cores.
    Raises ConfigurationError for a value out of its range.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    steps: int = 1_500
    patience: int | None = None
    batch_size: int = 256
    learning_rate: float = 1e-3
    noise: float = 0.05
    threads: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "patience", "batch_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; a whole number from 1 is needed")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigurationError(
                f"learning_rate is {self.learning_rate}; a number above 0 is needed"
            )
        if not 0 <= self.noise < math.inf:
            raise ConfigurationError(f"noise is {self.noise}; 0 or more is needed")
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ConfigurationError("accelerator is 'gpu' and no GPU is there; use auto or cpu")

    @property
    def stops_early(self) -> bool:
        """Whether training needs windows to compare epochs on."""
        return self.patience is not None

    def train(
        self,
        network: Autoencoder,
        train_BTF: npt.NDArray[np.float64],
        validation_BTF: npt.NDArray[np.float64],
        seed: int,
        report: EpochReport = lambda epoch, losses: None,
    ) -> Autoencoder:
        """The trained network; with `patience`, as it rebuilt the scaled `validation_BTF` best.

        Raises DataError when the loss stops being a number.
        """
        torch.manual_seed(seed)
        torch.set_num_threads(self.threads)
        # Without it cuBLAS refuses to be deterministic; the CPU does not look at it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        per_epoch = min(REPORT_EVERY, self.steps)
        epochs = -(-self.steps // per_epoch)
        batches = RandomBatches(train_BTF, self.batch_size, per_epoch, seed)
        network.meet(batches.windows)
        task = ReconstructionTask(network, self.learning_rate, self.noise, epochs * per_epoch)
        best = _BestWeights(report, self.patience)
        callbacks: list[Callback] = [best]
        if self.progress:
            callbacks.append(
                RichProgressBar(leave=False, theme=RichProgressBarTheme(metrics_format=".1e"))
            )
        held_out = OrderedBatches(validation_BTF) if self.stops_early else None
        with _quiet():
            self._lightning(epochs, callbacks).fit(task, batches, held_out)
        if best.weights is None:
            raise DataError(
                "training gave no finite loss; check the data for extreme values, or lower "
                "trainer.learning_rate"
            )
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
            gradient_clip_val=CLIPPED_GRADIENT,
        )


class _BestWeights(Callback):
    """Passes the losses on, and keeps the weights: the last or, with `patience`, the best on
    held-out windows, stopping when no better ones come. None once a loss is no number: what came
    before it was on its way there."""

    def __init__(self, report: EpochReport, patience: int | None) -> None:
        self.weights: dict[str, Any] | None = None
        self._report = report
        self._patience = patience
        self._smallest = math.inf
        self._best_epoch = 0

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        losses = {name: float(loss) for name, loss in trainer.callback_metrics.items()}
        self._report(trainer.current_epoch, losses)
        if not all(map(math.isfinite, losses.values())):
            self.weights = None
            trainer.should_stop = True
            return
        held_out = losses.get("validation_loss")
        if held_out is None or held_out < self._smallest:
            self._smallest = math.inf if held_out is None else held_out
            self._best_epoch = trainer.current_epoch
            network = pl_module.network
            assert isinstance(network, Autoencoder)
            self.weights = deepcopy(network.state_dict())
        elif self._patience and trainer.current_epoch - self._best_epoch >= self._patience:
            trainer.should_stop = True


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
