"""The denoising ensemble: small networks that are told how noisy their input is."""

import math
from itertools import pairwise

import torch
from torch import nn

from kizashi.errors import ConfigurationError
from kizashi.models.autoencoder import Autoencoder

WIDTH_PER_VALUE, NARROWEST, WIDEST = 16, 64, 256
LOSS_FLOOR = 0.05
"""Keeps the weight of nearly undisturbed windows finite; in squared scaled units."""


class DenoisingEnsemble(Autoencoder):
    """`members` autoencoders, computed as one, that rebuild windows from noisy ones.

    Each is trained over all noise levels between `smallest_noise` and `largest_noise` (standard
    deviations in scaled units, drawn evenly on a logarithmic scale) and told the level. What it
    rebuilds at a level leans towards where normal windows are dense at that scale, so the residual
    follows the gradient of their log density (Alain and Bengio, "What regularized auto-encoders
    learn from the data-generating distribution", JMLR 15, 2014; noise levels and their weights
    after Karras et al., "Elucidating the design space of diffusion-based generative models",
    NeurIPS 2022). To score, the level is `score_noise`, nothing is added, and the members' answers
    are averaged.

    `width` None grows with the number of values in a window. The trainer's own noise is not used.
    Raises ConfigurationError for a setting out of its range.
    """

    def __init__(
        self,
        n_sensors: int,
        window_length: int = 1,
        members: int = 2,
        width: int | None = None,
        smallest_noise: float = 0.02,
        largest_noise: float = 1.0,
        score_noise: float = 0.3,
    ) -> None:
        super().__init__()
        if members < 1:
            raise ConfigurationError(f"members is {members}; a whole number from 1 is needed")
        if width is not None and width < 4:
            raise ConfigurationError(f"width is {width}; a whole number from 4 is needed")
        if not 0 < smallest_noise <= score_noise <= largest_noise:
            raise ConfigurationError(
                f"score_noise is {score_noise}; a number from smallest_noise ({smallest_noise}, "
                f"above 0) to largest_noise ({largest_noise}) is needed"
            )
        values = n_sensors * window_length
        width = width or min(max(WIDTH_PER_VALUE * values, NARROWEST), WIDEST)
        self.window_length, self.n_sensors, self.members = window_length, n_sensors, members
        self.noise_range = (math.log(smallest_noise), math.log(largest_noise))
        self.score_noise = score_noise
        widths = [values, width, width, width // 4, width, width, values]
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(members, narrow, wide) * math.sqrt(1 / narrow))
            for narrow, wide in pairs
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(members, 1, wide)) for _, wide in pairs
        )
        self.level = nn.Parameter(torch.randn(members, 1, width))

    def forward(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """The rebuilt windows, shape (B, T, F)."""
        level = windows_BTF.new_full((1, 1, 1), math.log(self.score_noise))
        rebuilt_MBV = self._rebuild(windows_BTF.flatten(1)[None], level)
        return rebuilt_MBV.mean(0).reshape(-1, self.window_length, self.n_sensors)

    def loss(self, windows_BTF: torch.Tensor, noise: float) -> torch.Tensor:
        """The error of windows rebuilt from noisy ones, each level weighted by how small its error
        can be."""
        values_BV = windows_BTF.flatten(1)
        low, high = self.noise_range
        shape = (self.members, len(values_BV), 1)
        level_MB1 = low + (high - low) * torch.rand(shape, device=values_BV.device)
        noise_MB1 = level_MB1.exp()
        drawn = torch.randn((self.members, *values_BV.shape), device=values_BV.device)
        rebuilt_MBV = self._rebuild(values_BV + noise_MB1 * drawn, level_MB1)
        error_MB1 = (rebuilt_MBV - values_BV).square().mean(-1, keepdim=True)
        return (error_MB1 / (noise_MB1.square() + LOSS_FLOOR)).mean()

    def validation_loss(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """`loss` with the same noise at every call, so that epochs compare."""
        devices = [windows_BTF.device] if windows_BTF.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            return self.loss(windows_BTF, 0.0)

    def _rebuild(self, values_MBV: torch.Tensor, level_MB1: torch.Tensor) -> torch.Tensor:
        """Each member's answer, shape (M, B, V), at logarithmic noise levels."""
        hidden = torch.matmul(values_MBV, self.weights[0]) + self.biases[0] + level_MB1 * self.level
        for weight, bias in zip(list(self.weights)[1:], list(self.biases)[1:], strict=True):
            hidden = torch.matmul(nn.functional.silu(hidden), weight) + bias
        rebuilt_MBV: torch.Tensor = hidden
        return rebuilt_MBV
