"""The denoising ensemble: small networks that are told how noisy their input is."""

import math
from itertools import pairwise

import torch
from torch import nn

from kizashi.errors import ConfigurationError
from kizashi.models.autoencoder import Autoencoder

WIDTH_PER_VALUE, NARROWEST, WIDEST = 8, 64, 128
LOSS_FLOOR = 0.05
"""Keeps the weight of nearly undisturbed windows finite; in squared scaled units."""
FINEST, COARSEST = 0.05, 0.3
"""The range of the noise level at which windows are scored where none is given."""
WINDOWS_COMPARED = 2000


class DenoisingEnsemble(Autoencoder):
    """`members` autoencoders, computed as one, that rebuild windows from noisy ones.

    Each is trained over all noise levels between `smallest_noise` and `largest_noise` (standard
    deviations in scaled units, drawn evenly on a logarithmic scale) and told the level. What it
    rebuilds at a level leans towards where normal windows are dense at that scale, so the residual
    follows the gradient of their log density (Alain and Bengio, "What regularized auto-encoders
    learn from the data-generating distribution", JMLR 15, 2014; noise levels and their weights
    after Karras et al., "Elucidating the design space of diffusion-based generative models",
    NeurIPS 2022). To score, the level is `score_noise` and nothing is added.

    `score_noise` None is twice the usual distance between neighbouring training windows, per value,
    within FINEST and COARSEST: no finer than the data can tell. `width` None grows with the number
    of values in a window. The trainer's own noise is not used. Raises ConfigurationError for a
    setting out of its range.
    """

    def __init__(
        self,
        n_sensors: int,
        window_length: int = 1,
        members: int = 2,
        width: int | None = None,
        smallest_noise: float = 0.02,
        largest_noise: float = 1.0,
        score_noise: float | None = None,
    ) -> None:
        super().__init__()
        if members < 1:
            raise ConfigurationError(f"members is {members}; a whole number from 1 is needed")
        if width is not None and width < 4:
            raise ConfigurationError(f"width is {width}; a whole number from 4 is needed")
        if not 0 < smallest_noise <= largest_noise < math.inf:
            raise ConfigurationError(
                f"smallest_noise is {smallest_noise}; a number above 0, up to largest_noise "
                f"({largest_noise}), is needed"
            )
        if score_noise is not None and not smallest_noise <= score_noise <= largest_noise:
            raise ConfigurationError(
                f"score_noise is {score_noise}; a number from smallest_noise ({smallest_noise}) to "
                f"largest_noise ({largest_noise}) is needed, or null"
            )
        values = n_sensors * window_length
        width = width or min(max(WIDTH_PER_VALUE * values, NARROWEST), WIDEST)
        self.window_length, self.n_sensors, self.members = window_length, n_sensors, members
        self.noise_range = (math.log(smallest_noise), math.log(largest_noise))
        self.given_noise = score_noise
        self.score_noise = score_noise or COARSEST
        widths = [values, width, width, max(width // 4, 1), width, width, values]
        gains = [1.4] * (len(widths) - 2) + [0.5]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(members, narrow, wide) * gain * math.sqrt(1 / narrow))
            for gain, (narrow, wide) in zip(gains, pairwise(widths), strict=True)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(members, 1, wide)) for wide in widths[1:]
        )
        self.level = nn.Parameter(torch.randn(members, 1, width) * 1.4 * math.sqrt(1 / values))

    def meet(self, windows_BTF: torch.Tensor) -> None:
        """Find the noise level to score at, unless it was given."""
        if self.given_noise is None:
            low, high = (math.exp(level) for level in self.noise_range)
            noise = min(max(2 * spacing(windows_BTF), FINEST), COARSEST)
            self.score_noise = min(max(noise, low), high)

    def forward(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """What each member rebuilds, shape (M, B, T, F)."""
        # One plain matrix product a layer: the runtime computes these fastest for a single row.
        values_BV, rebuilt = windows_BTF.flatten(1), []
        for member in range(self.members):
            bias = self.biases[0][member, 0] + math.log(self.score_noise) * self.level[member, 0]
            hidden = nn.functional.linear(values_BV, self.weights[0][member].T, bias)
            for weight, bias_M1V in zip(self.weights[1:], self.biases[1:], strict=True):
                hidden = nn.functional.silu(hidden)
                hidden = nn.functional.linear(hidden, weight[member].T, bias_M1V[member, 0])
            rebuilt.append(hidden)
        return torch.cat(rebuilt).reshape(self.members, -1, self.window_length, self.n_sensors)

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

    def _rebuild(self, values_MBV: torch.Tensor, level_MB1: torch.Tensor) -> torch.Tensor:
        """Each member's answer, shape (M, B, V), at logarithmic noise levels."""
        hidden = torch.matmul(values_MBV, self.weights[0]) + self.biases[0] + level_MB1 * self.level
        for weight, bias in zip(list(self.weights)[1:], list(self.biases)[1:], strict=True):
            hidden = torch.matmul(nn.functional.silu(hidden), weight) + bias
        rebuilt_MBV: torch.Tensor = hidden
        return rebuilt_MBV


def spacing(windows_BTF: torch.Tensor) -> float:
    """Median root mean square distance between a window and its nearest neighbour, per value, in a
    sample spread evenly over the windows; 0 for a single window."""
    values_BV = windows_BTF.flatten(1).double()
    if len(values_BV) < 2:
        return 0.0
    values_BV = values_BV[:: -(-len(values_BV) // WINDOWS_COMPARED)]
    distance_BB = torch.cdist(values_BV, values_BV).fill_diagonal_(math.inf)
    return float(distance_BB.amin(1).median()) / math.sqrt(values_BV.shape[1])
