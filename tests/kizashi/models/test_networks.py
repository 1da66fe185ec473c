"""Every network under `conf/model/`, at every shape that the runtime may meet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from kizashi.errors import ConfigurationError
from kizashi.models.autoencoder import Autoencoder
from kizashi.models.denoising import COARSEST, FINEST, DenoisingEnsemble, spacing
from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.network import OnnxNetwork
from kizashi.training.export import export_onnx
from pipelines.command import build

MODELS = Path(__file__).parents[3] / "conf" / "model"

every_network = pytest.mark.parametrize("option", sorted(path.stem for path in MODELS.glob("*")))


def network(option: str, n_sensors: int, window_length: int) -> Autoencoder:
    torch.manual_seed(0)
    config = OmegaConf.load(MODELS / f"{option}.yaml")
    built = build(config, n_sensors=n_sensors, window_length=window_length)  # type: ignore[arg-type]
    assert isinstance(built, Autoencoder)
    return built.eval()


@every_network
@pytest.mark.parametrize("window_length", [1, 8])
@pytest.mark.parametrize("n_sensors", [1, 3, 60])
def test_the_exported_network_rebuilds_any_number_of_windows_as_torch_does(
    option: str, n_sensors: int, window_length: int
) -> None:
    made = network(option, n_sensors, window_length)
    rng = np.random.default_rng(0)
    windows_BTF = rng.normal(size=(16, window_length, n_sensors))
    exported = OnnxNetwork(export_onnx(made, windows_BTF))
    for count in (1, 16, 100):
        more_BTF = rng.normal(size=(count, window_length, n_sensors)).astype(np.float32)
        rebuilt_MBTF = exported.reconstruct(more_BTF)
        with torch.no_grad():
            expected_MBTF = made(torch.from_numpy(more_BTF)).numpy()
        assert rebuilt_MBTF.shape[1:] == more_BTF.shape
        np.testing.assert_allclose(rebuilt_MBTF, expected_MBTF, atol=1e-5)


@every_network
def test_equal_weights_give_equal_bytes(option: str) -> None:
    windows_BTF = np.random.default_rng(0).normal(size=(4, 2, 3))
    first = export_onnx(network(option, 3, 2), windows_BTF)
    assert export_onnx(network(option, 3, 2), windows_BTF) == first


@every_network
def test_every_weight_learns(option: str) -> None:
    made = network(option, 3, 2)
    torch.manual_seed(1)
    windows_BTF = torch.randn(256, 2, 3)
    made.loss(windows_BTF, 0.1).backward()  # type: ignore[no-untyped-call]
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_the_dense_network_goes_through_its_bottleneck() -> None:
    widths = [
        layer.out_features
        for layer in DenseAutoencoder(3, 2, hidden=(64, 32), latent=2).modules()
        if isinstance(layer, nn.Linear)
    ]
    assert widths == [64, 32, 2, 32, 64, 6]


@pytest.mark.parametrize(
    ("n_sensors", "window_length", "hidden", "bottleneck"),
    [(3, 1, (64, 32), 2), (1, 1, (64, 32), 1), (60, 8, (64, 32), 32), (4, 1, (), 2)],
)
def test_without_a_latent_width_the_bottleneck_is_half_of_the_values_and_never_the_widest(
    n_sensors: int, window_length: int, hidden: tuple[int, ...], bottleneck: int
) -> None:
    made = DenseAutoencoder(n_sensors, window_length, hidden)
    layers = [layer for layer in made.encoder if isinstance(layer, nn.Linear)]
    assert layers[-1].out_features == bottleneck


@pytest.mark.parametrize(
    ("hidden", "latent", "message"),
    [
        ((64, 0), None, r"^hidden is \[64, 0\]; widths from 1 are needed$"),
        ((64,), 0, r"^latent is 0; a whole number from 1 is needed$"),
        ((64,), -2, r"^latent is -2; a whole number from 1 is needed$"),
    ],
)
def test_a_width_below_1_is_refused(
    hidden: tuple[int, ...], latent: int | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DenseAutoencoder(3, hidden=hidden, latent=latent)


@every_network
def test_the_same_weights_validate_alike_and_leave_the_random_state_alone(option: str) -> None:
    made = network(option, 3, 1)
    windows_BTF = torch.randn(64, 1, 3)
    state = torch.get_rng_state()
    with torch.no_grad():
        assert made.validation_loss(windows_BTF) == made.validation_loss(windows_BTF)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_denoising_ensemble_is_as_wide_as_the_window_asks_within_bounds() -> None:
    widths = [DenoisingEnsemble(count).weights[0].shape[-1] for count in (1, 10, 100)]
    assert widths == [64, 80, 128]


@pytest.mark.parametrize("members", [1, 2, 5])
def test_each_member_of_a_denoising_ensemble_answers_for_itself(members: int) -> None:
    torch.manual_seed(0)
    made = DenoisingEnsemble(3, 2, members=members).eval()
    windows_BTF = torch.randn(5, 2, 3)
    with torch.no_grad():
        answer_MBTF = made(windows_BTF)
    assert answer_MBTF.shape == (members, 5, 2, 3)
    for other in range(1, members):
        assert not torch.allclose(answer_MBTF[0], answer_MBTF[other])


def test_a_denoising_ensemble_answers_as_it_was_trained_to_at_the_level_of_scoring() -> None:
    torch.manual_seed(0)
    made = DenoisingEnsemble(3, members=3, score_noise=0.2).eval()
    values_BV = torch.randn(5, 3)
    with torch.no_grad():
        level_MB1 = torch.full((3, 5, 1), float(np.log(0.2)))
        as_trained_MBV = made._rebuild(values_BV.expand(3, 5, 3), level_MB1)
        torch.testing.assert_close(made(values_BV[:, None])[:, :, 0], as_trained_MBV)


def packed(step: float, count: int = 1500) -> torch.Tensor:
    """Rows of one sensor, `step` apart, in some order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return (step * order.float())[:, None, None]


def test_the_noise_to_score_at_is_twice_the_spacing_of_the_rows_within_bounds() -> None:
    made = DenoisingEnsemble(1)
    levels = []
    for step in (0.001, 0.05, 0.1, 5.0):
        made.meet(packed(step))
        levels.append(made.score_noise)
    assert levels == pytest.approx([FINEST, 0.1, 0.2, COARSEST], rel=1e-3)


def test_the_spacing_is_per_value_however_many_sensors_there_are() -> None:
    rows = packed(0.07)
    assert spacing(rows.expand(-1, 1, 40)) == pytest.approx(spacing(rows), rel=1e-3)


@pytest.mark.parametrize("rows", [1, 2, 33, 10_000])
def test_the_noise_to_score_at_is_found_for_any_number_of_rows(rows: int) -> None:
    torch.manual_seed(0)
    made = DenoisingEnsemble(3)
    made.meet(torch.randn(rows, 1, 3))
    assert FINEST <= made.score_noise <= COARSEST


def test_repeated_rows_are_scored_at_the_finest_noise() -> None:
    made = DenoisingEnsemble(2)
    made.meet(torch.ones(100, 1, 2))
    assert made.score_noise == FINEST


def test_the_noise_to_score_at_never_leaves_the_levels_of_training() -> None:
    made = DenoisingEnsemble(1, smallest_noise=0.15, largest_noise=0.18)
    made.meet(packed(0.001))
    assert made.score_noise == pytest.approx(0.15)
    made.meet(packed(5.0))
    assert made.score_noise == pytest.approx(0.18)


def test_a_given_noise_to_score_at_is_kept() -> None:
    made = DenoisingEnsemble(1, score_noise=0.7)
    made.meet(packed(0.05))
    assert made.score_noise == 0.7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 0}, r"^members is 0; a whole number from 1 is needed$"),
        ({"width": 2}, r"^width is 2; a whole number from 4 is needed$"),
        ({"score_noise": 2.0}, r"^score_noise is 2\.0; a number from smallest_noise \(0\.02"),
        (
            {"smallest_noise": 0.0},
            r"^smallest_noise is 0\.0; a number above 0, up to largest_noise",
        ),
        (
            {"smallest_noise": 2.0},
            r"^smallest_noise is 2\.0; a number above 0, up to largest_noise",
        ),
    ],
)
def test_a_denoising_ensemble_names_a_setting_out_of_its_range(
    settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DenoisingEnsemble(3, **settings)  # type: ignore[arg-type]
