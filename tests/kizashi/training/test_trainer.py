from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from kizashi.errors import ConfigurationError, DataError
from kizashi.models.dense import DenseAutoencoder
from kizashi.training.trainer import REPORT_EVERY, NetworkTrainer

FloatArray = npt.NDArray[np.float64]

QUICK = NetworkTrainer(accelerator="cpu", steps=200, batch_size=32, progress=False)


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
        return float(nn.functional.mse_loss(network(inputs)[0], inputs))


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


def test_training_lowers_the_loss_and_reports_it_each_epoch() -> None:
    recorder, network = Recorder(), fresh()
    before = loss(network, windows(seed=1))
    trained = QUICK.train(network, windows(), windows()[:0], seed=0, report=recorder)
    assert loss(trained, windows(seed=1)) < 0.5 * before
    assert recorder.epochs == [0, 1, 2, 3]
    assert all(set(each) == {"train_loss"} for each in recorder.losses)
    assert recorder.losses[-1]["train_loss"] < recorder.losses[0]["train_loss"]


class Counting(DenseAutoencoder):
    """Remembers how many windows each step of training saw, and each look at held-out ones."""

    def __init__(self, window_length: int = 1) -> None:
        super().__init__(3, window_length, hidden=(8,), latent=1)
        self.sizes: list[int] = []
        self.held_out: list[int] = []

    def loss(self, windows_BTF: torch.Tensor, noise: float) -> torch.Tensor:
        self.sizes.append(len(windows_BTF))
        return super().loss(windows_BTF, noise)

    def validation_loss(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        self.held_out.append(len(windows_BTF))
        return super().loss(windows_BTF, 0.0)


@pytest.mark.parametrize("count", [1, 512])
@pytest.mark.parametrize("steps", [1, 2, 3, 19, 20, 21, 40, 50, 100])
def test_all_the_steps_are_taken_in_full_batches_however_many_windows_there_are(
    count: int, steps: int
) -> None:
    network = Counting()
    trainer = NetworkTrainer("cpu", steps=steps, batch_size=32, progress=False)
    trainer.train(network, windows(count), windows()[:0], seed=0)
    assert network.sizes == [32] * steps


def test_a_last_epoch_that_has_begun_is_finished() -> None:
    network = Counting()
    trainer = NetworkTrainer("cpu", steps=120, batch_size=32, progress=False)
    trainer.train(network, windows(), windows()[:0], seed=0)
    assert len(network.sizes) == 3 * REPORT_EVERY


def test_without_patience_the_last_weights_are_kept_and_nothing_is_held_out() -> None:
    recorder = Recorder()
    tireless = NetworkTrainer("cpu", steps=500, learning_rate=0.05, progress=False)
    trained = tireless.train(fresh(), windows(), another_world(), seed=0, report=recorder)
    without = tireless.train(fresh(), windows(), windows()[:0], seed=0)
    assert not tireless.stops_early
    assert recorder.epochs == list(range(10))
    assert all(
        torch.equal(one, other)
        for one, other in zip(trained.parameters(), without.parameters(), strict=True)
    )


def test_with_patience_the_weights_of_the_best_epoch_are_restored() -> None:
    patient = NetworkTrainer("cpu", steps=750, patience=15, learning_rate=0.05, progress=False)
    recorder, validation_BTF = Recorder(), another_world()
    trained = patient.train(fresh(), windows(), validation_BTF, seed=0, report=recorder)
    assert len(recorder.epochs) == 15
    assert all(set(each) == {"train_loss", "validation_loss"} for each in recorder.losses)
    assert min(recorder.validation) < recorder.validation[-1]
    assert loss(trained, validation_BTF) == pytest.approx(min(recorder.validation), rel=1e-5)


def test_with_patience_all_held_out_windows_are_looked_at_once_an_epoch() -> None:
    network = Counting(window_length=4)
    trainer = NetworkTrainer("cpu", steps=150, patience=5, batch_size=32, progress=False)
    windows_BTF = np.random.default_rng(0).normal(size=(20_000, 4, 3))
    trainer.train(network, windows_BTF, windows_BTF, seed=0)
    assert network.sizes == [32] * 150
    assert network.held_out == [16_384, 3_616] * 3


def test_with_patience_training_stops_when_held_out_windows_stop_improving() -> None:
    patient = NetworkTrainer("cpu", steps=5_000, patience=3, learning_rate=0.05, progress=False)
    recorder = Recorder()
    patient.train(fresh(), windows(), another_world(), seed=0, report=recorder)
    assert patient.stops_early
    assert len(recorder.epochs) < 100
    best = int(np.argmin(recorder.validation))
    assert len(recorder.epochs) == best + 1 + 3


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def weights(seed: int) -> torch.Tensor:
        network = QUICK.train(fresh(), windows(), windows()[:0], seed)
        return torch.cat([weight.flatten() for weight in network.state_dict().values()])

    first = weights(0)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


def test_the_trained_network_is_ready_to_be_exported() -> None:
    trained = QUICK.train(fresh(), windows(), windows()[:0], seed=0)
    assert not trained.training
    assert all(weight.device.type == "cpu" for weight in trained.parameters())


class Spoilt(DenseAutoencoder):
    """A network whose loss is no number from its `last`th step on."""

    def __init__(self, last: int) -> None:
        super().__init__(3, hidden=(8,), latent=1)
        self.left = last

    def loss(self, windows_BTF: torch.Tensor, noise: float) -> torch.Tensor:
        self.left -= 1
        return super().loss(windows_BTF, noise) * (1.0 if self.left > 0 else float("nan"))

    def validation_loss(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        return super().loss(windows_BTF, 0.0)


@pytest.mark.parametrize("patience", [None, 50])
@pytest.mark.parametrize("last", [1, 120])
def test_a_loss_that_stops_being_a_number_is_an_error_at_once_and_not_a_model(
    last: int, patience: int | None
) -> None:
    recorder = Recorder()
    trainer = NetworkTrainer("cpu", steps=500, patience=patience, batch_size=32, progress=False)
    with pytest.raises(DataError, match=r"^training gave no finite loss; "):
        trainer.train(Spoilt(last), windows(), windows(seed=1), seed=0, report=recorder)
    assert len(recorder.epochs) == 1 + last // REPORT_EVERY


def test_windows_beyond_single_precision_are_an_error_and_not_a_model() -> None:
    with pytest.raises(DataError, match=r"^training gave no finite loss; "):
        QUICK.train(fresh(), windows() * 1e30, windows()[:0], seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkTrainer(steps=0), "steps is 0; a whole number from 1 is needed"),
        (lambda: NetworkTrainer(patience=0), "patience is 0; a whole number from 1 is needed"),
        (lambda: NetworkTrainer(batch_size=-1), "batch_size is -1; a whole number from 1"),
        (lambda: NetworkTrainer(threads=0), "threads is 0; a whole number from 1 is needed"),
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
