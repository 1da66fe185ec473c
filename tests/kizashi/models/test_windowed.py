"""What networks make of the order of rows inside a window."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from kizashi.errors import ConfigurationError
from kizashi.models.autoencoder import Autoencoder
from kizashi.models.conv import ConvolutionalAutoencoder
from kizashi.runtime.network import OnnxNetwork
from kizashi.training.export import export_onnx
from kizashi.training.trainer import NetworkTrainer

LENGTH = 16
PERIOD = 12


def sawtooth_windows(first: int, count: int) -> npt.NDArray[np.float64]:
    """Windows of a sawtooth that begin at consecutive rows, shape (B, T, 1)."""
    row_BT = first + np.arange(count)[:, None] + np.arange(LENGTH)
    window_BT: npt.NDArray[np.float64] = (row_BT % PERIOD) / (PERIOD - 1) * 2 - 1
    return window_BT[..., None]


def error(network: Autoencoder, windows_BTF: npt.NDArray[np.float64]) -> float:
    with torch.no_grad():
        inputs = torch.from_numpy(windows_BTF.astype(np.float32))
        return float((network(inputs)[0] - inputs).square().mean())


def test_a_window_with_its_rows_reversed_is_rebuilt_worse() -> None:
    torch.manual_seed(0)
    trainer = NetworkTrainer(accelerator="cpu", steps=200, noise=0.2, progress=False)
    train_BTF = sawtooth_windows(0, 120)
    network = ConvolutionalAutoencoder(1, LENGTH)
    trained = trainer.train(network, train_BTF, train_BTF[:0], seed=0)
    unseen_BTF = sawtooth_windows(120, 24)
    assert error(trained, unseen_BTF[:, ::-1].copy()) > 5 * error(trained, unseen_BTF)


@pytest.mark.parametrize("window_length", [1, 2, 3, 4, 5, 7, 10, 33])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_windows_of_any_length_come_back_as_long(window_length: int, kernel: int) -> None:
    network = ConvolutionalAutoencoder(2, window_length, kernel=kernel, halvings=3)
    assert network(torch.zeros(4, window_length, 2)).shape == (1, 4, window_length, 2)


@pytest.mark.parametrize("n_sensors", [1, 1555])
def test_one_sensor_and_very_many_are_exported(n_sensors: int) -> None:
    windows_BTF = np.random.default_rng(0).normal(size=(3, 6, n_sensors))
    network = ConvolutionalAutoencoder(n_sensors, 6).eval()
    rebuilt = OnnxNetwork(export_onnx(network, windows_BTF)).reconstruct(
        windows_BTF[:1].astype(np.float32)
    )
    assert rebuilt.shape == (1, 1, 6, n_sensors)


def test_no_kernel_is_longer_than_the_window_reaches() -> None:
    network = ConvolutionalAutoencoder(3, window_length=1, kernel=7)
    kernels = {layer.kernel_size for layer in network.modules() if isinstance(layer, nn.Conv1d)}
    assert kernels == {(1,)}


@pytest.mark.parametrize(
    ("n_sensors", "window_length", "rows", "channels"),
    [(3, 16, 4, 6), (3, 10, 3, 5), (3, 1, 1, 2), (1, 1, 1, 1), (1555, 1, 1, 128)],
)
def test_the_bottleneck_holds_half_of_the_values_and_is_never_wider_than_the_layers(
    n_sensors: int, window_length: int, rows: int, channels: int
) -> None:
    network = ConvolutionalAutoencoder(n_sensors, window_length)
    bottleneck = network.encoder(torch.zeros(1, n_sensors, window_length))
    assert bottleneck.shape == (1, channels, rows)
    assert channels * rows <= math.ceil(n_sensors * window_length / 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, r"^channels is 0; a whole number from 1 is needed$"),
        ({"latent": 0}, r"^latent is 0; a whole number from 1 is needed$"),
        ({"kernel": 4}, r"^kernel is 4; an odd number from 1 is needed$"),
        ({"kernel": -1}, r"^kernel is -1; an odd number from 1 is needed$"),
        ({"halvings": -1}, r"^halvings is -1; a whole number from 0 is needed$"),
    ],
)
def test_a_convolutional_network_names_a_setting_out_of_its_range(
    settings: Mapping[str, int], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ConvolutionalAutoencoder(3, 4, **settings)
