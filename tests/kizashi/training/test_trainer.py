from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from kizashi.errors import ConfigurationError, DataError
from kizashi.models.dense import DenseAutoencoder
from kizashi.training.trainer import NetworkTrainer

FloatArray = npt.NDArray[np.float64]

QUICK = NetworkTrainer(
    accelerator="cpu", max_epochs=4, min_steps=0, patience=4, batch_size=32, progress=False
)


def windows(count: int = 512, seed: int = 0) -> FloatArray:
    """Scaled rows of three sensors that follow one load."""
    load = np.random.default_rng(seed).normal(size=(count, 1))
    windows_BTF: FloatArray = (load * np.array([1.0, -0.8, 0.6]))[:, None, :]
    return windows_BTF


def another_world() -> FloatArray:
    """Windows that are rebuilt worse the better the training windows are learnt."""
    windows_BTF: FloatArray = -windows(seed=1) * np.array([1.0, 1.0, -1.0]) + 3.0
    return windows_BTF


def fresh(seed: int = 0) -> DenseAutoencoder:
    torch.manual_seed(seed)
    return DenseAutoencoder(3, hidden=(8,), latent=1)


def loss(network: nn.Module, windows_BTF: FloatArray) -> float:
    inputs = torch.from_numpy(windows_BTF.astype(np.float32))
    with torch.no_grad():
        return float(nn.functional.mse_loss(network(inputs), inputs))


class Recorder:
    """Keeps what the trainer reports."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.losses: list[dict[str, float]] = []

    def __call__(self, epoch: int, losses: Mapping[str, float]) -> None:
        self.epochs.append(epoch)
        self.losses.append(dict(losses))

    @property
    def validation(self) -> list[float]:
        return [losses["validation_loss"] for losses in self.losses]


def test_training_lowers_the_loss_and_reports_each_epoch() -> None:
    recorder, network = Recorder(), fresh()
    before = loss(network, windows(seed=1))
    trained = QUICK.train(network, windows(), windows(seed=1), seed=0, report=recorder)
    assert loss(trained, windows(seed=1)) < 0.9 * before
    assert recorder.epochs == [0, 1, 2, 3]
    assert all(set(each) == {"train_loss", "validation_loss"} for each in recorder.losses)


def test_the_weights_of_the_best_epoch_are_restored() -> None:
    tireless = NetworkTrainer(
        accelerator="cpu",
        max_epochs=15,
        min_steps=0,
        patience=15,
        batch_size=64,
        learning_rate=0.05,
        progress=False,
    )
    recorder, validation_BTF = Recorder(), another_world()
    trained = tireless.train(fresh(), windows(), validation_BTF, seed=0, report=recorder)
    assert len(recorder.epochs) == 15
    assert min(recorder.validation) < recorder.validation[-1]
    assert loss(trained, validation_BTF) == pytest.approx(min(recorder.validation), rel=1e-5)


def test_training_stops_when_held_out_windows_stop_improving() -> None:
    patient = NetworkTrainer(
        accelerator="cpu",
        max_epochs=200,
        min_steps=0,
        patience=3,
        learning_rate=0.05,
        progress=False,
    )
    recorder = Recorder()
    patient.train(fresh(), windows(), another_world(), seed=0, report=recorder)
    assert len(recorder.epochs) < 200
    best = int(np.argmin(recorder.validation))
    assert len(recorder.epochs) == best + 1 + 3


def test_small_data_are_trained_for_the_smallest_number_of_steps() -> None:
    trainer = NetworkTrainer(
        accelerator="cpu", max_epochs=2, min_steps=10, batch_size=64, patience=50, progress=False
    )
    recorder = Recorder()
    trainer.train(fresh(), windows(128), windows(64), seed=0, report=recorder)
    assert len(recorder.epochs) == 5  # 2 steps an epoch


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def weights(seed: int) -> torch.Tensor:
        network = QUICK.train(fresh(), windows(), windows(seed=1), seed)
        return torch.cat([weight.flatten() for weight in network.state_dict().values()])

    first = weights(0)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


def test_the_trained_network_is_ready_to_be_exported() -> None:
    trained = QUICK.train(fresh(), windows(), windows(seed=1), seed=0)
    assert not trained.training
    assert all(weight.device.type == "cpu" for weight in trained.parameters())


def test_a_loss_that_is_never_a_number_is_an_error_and_not_a_model() -> None:
    with pytest.raises(DataError, match=r"^training gave no finite loss; "):
        QUICK.train(fresh(), windows() * 1e30, windows() * 1e30, seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkTrainer(max_epochs=0), "max_epochs is 0; a whole number from 1 is needed"),
        (lambda: NetworkTrainer(patience=0), "patience is 0; a whole number from 1 is needed"),
        (lambda: NetworkTrainer(batch_size=-1), "batch_size is -1; a whole number from 1"),
        (lambda: NetworkTrainer(threads=0), "threads is 0; a whole number from 1 is needed"),
        (lambda: NetworkTrainer(min_steps=-1), "min_steps is -1; 0 or more is needed"),
        (lambda: NetworkTrainer(learning_rate=0), "learning_rate is 0; a number above 0"),
        (lambda: NetworkTrainer(learning_rate=float("nan")), "learning_rate is nan"),
        (lambda: NetworkTrainer(noise=-0.1), "noise is -0.1; 0 or more is needed"),
        (lambda: NetworkTrainer(noise=float("nan")), "noise is nan; 0 or more is needed"),
    ],
)
def test_a_value_out_of_its_range_is_refused(
    make: Callable[[], NetworkTrainer], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("[", r"\[")):
        make()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^accelerator is 'gpu' and no GPU is there"):
        NetworkTrainer(accelerator="gpu")
