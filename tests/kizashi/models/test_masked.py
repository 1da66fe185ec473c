import numpy as np
import pytest
import torch

from kizashi.models.masked import MOST_MISSING, MaskedAutoencoder
from kizashi.runtime.network import OnnxNetwork
from kizashi.training.export import export_onnx
from kizashi.training.trainer import NetworkTrainer


def made(n_sensors: int, window_length: int = 1) -> MaskedAutoencoder:
    torch.manual_seed(0)
    return MaskedAutoencoder(n_sensors, window_length)


@pytest.mark.parametrize(("n_sensors", "window_length"), [(2, 1), (1, 4), (3, 5), (200, 1)])
def test_the_exported_network_takes_nan_for_missing(n_sensors: int, window_length: int) -> None:
    windows_BTF = np.random.default_rng(0).normal(size=(16, window_length, n_sensors))
    windows_BTF[::2, 0, 0] = np.nan
    network = made(n_sensors, window_length).eval()
    exported = OnnxNetwork(export_onnx(network, windows_BTF))
    for count in (1, 16):
        rebuilt_MBTF = exported.reconstruct(windows_BTF[:count].astype(np.float32))
        assert rebuilt_MBTF.shape == (1, count, window_length, n_sensors)
        assert np.isfinite(rebuilt_MBTF).all()


def test_what_stands_in_for_a_missing_value_has_no_part_in_what_is_rebuilt() -> None:
    network = made(3)
    windows_BTF = torch.tensor([[[0.0, 1.0, 2.0]], [[torch.nan, 1.0, 2.0]]])
    rebuilt_BTF = network(windows_BTF)[0]
    assert not torch.equal(rebuilt_BTF[0], rebuilt_BTF[1]), "0 is a value, and not missing"


@pytest.mark.parametrize(("n_sensors", "window_length"), [(2, 1), (1, 6), (5, 4)])
def test_training_takes_out_some_values_of_every_window_and_never_all_of_many(
    n_sensors: int, window_length: int
) -> None:
    windows_BTF = torch.zeros(4000, window_length, n_sensors)
    taken_BTF = made(n_sensors, window_length)._drawn(windows_BTF)
    assert taken_BTF.flatten(1).any(1).all()
    share = float(taken_BTF.float().mean())
    assert 0.5 / (n_sensors * window_length) < share < MOST_MISSING
    if n_sensors > 1 and window_length > 1:
        whole_BF = taken_BTF.all(1)
        some_BF = taken_BTF.any(1) & ~whole_BF
        assert whole_BF.any(1).float().mean() > 0.4, "sensors that are gone"
        assert some_BF.any(1).float().mean() > 0.3, "and single values"


def test_it_learns_what_a_missing_sensor_would_say() -> None:
    load_B = np.random.default_rng(0).normal(size=2000)
    windows_BTF = (load_B[:, None] * np.array([1.0, -1.0, 0.5]))[:, None]
    trainer = NetworkTrainer("cpu", steps=300, batch_size=128, progress=False)
    network = trainer.train(made(3), windows_BTF, windows_BTF[:0], 0)
    left_BTF = torch.from_numpy(windows_BTF.astype(np.float32))
    left_BTF[:, :, 1] = torch.nan
    with torch.no_grad():
        filled_B = network(left_BTF)[0, :, 0, 1].numpy()
    assert np.sqrt(np.mean((filled_B + load_B) ** 2)) < 0.2
