"""The convolutional autoencoder: it knows a course of values wherever in the window it lies."""

from itertools import pairwise

import torch
from torch import nn

from kizashi.errors import ConfigurationError
from kizashi.models.autoencoder import Autoencoder

CHANNELS_PER_SENSOR, FEWEST, MOST = 8, 32, 128
SHORTEST_HALVED = 4
"""Rows: what is shorter is not narrowed along time."""


class ConvolutionalAutoencoder(Autoencoder):
    """Convolutions along time, with a sensor a channel, down to a bottleneck and back up.

    The same weights serve every row of a window (Masci et al., "Stacked convolutional
    auto-encoders", ICANN 2011), so a course of values that was seen early in a window is known late
    in it: for windows of which few were seen, and for events that come at any time. `halvings` is
    how often the encoder takes every other row, as long as SHORTEST_HALVED are there; the
    bottleneck then has `latent` channels in each row that is left. `latent` None means half of the
    window's values in all. `channels` None grows with the sensors. In a window of one row nothing
    is left but layers between its sensors. Raises ConfigurationError for a setting out of its
    range.
    """

    def __init__(
        self,
        n_sensors: int,
        window_length: int = 1,
        channels: int | None = None,
        kernel: int = 3,
        halvings: int = 2,
        latent: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("latent", latent)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; a whole number from 1 is needed")
        if kernel < 1 or kernel % 2 == 0:
            raise ConfigurationError(f"kernel is {kernel}; an odd number from 1 is needed")
        if halvings < 0:
            raise ConfigurationError(f"halvings is {halvings}; a whole number from 0 is needed")
        lengths = [window_length]
        while len(lengths) <= halvings and lengths[-1] >= SHORTEST_HALVED:
            lengths.append((lengths[-1] + 1) // 2)
        channels = channels or min(max(CHANNELS_PER_SENSOR * n_sensors, FEWEST), MOST)
        half_of_values = (n_sensors * window_length + 1) // 2
        latent = latent or min(max(half_of_values // lengths[-1], 1), channels)
        down: list[nn.Module] = [_kept(n_sensors, channels, lengths[0], kernel), nn.SiLU()]
        for length in lengths[:-1]:
            down += [_halved(channels, length, kernel), nn.SiLU()]
        up: list[nn.Module] = [_kept(latent, channels, lengths[-1], kernel), nn.SiLU()]
        for _, length in pairwise(reversed(lengths)):
            up += [_doubled(channels, length, kernel), nn.SiLU()]
        self.encoder = nn.Sequential(*down, _kept(channels, latent, lengths[-1], kernel))
        self.decoder = nn.Sequential(*up, _kept(channels, n_sensors, lengths[0], kernel))

    def forward(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """The rebuilt windows, shape (1, B, T, F)."""
        rebuilt_BFT: torch.Tensor = self.decoder(self.encoder(windows_BTF.transpose(1, 2)))
        return rebuilt_BFT.transpose(1, 2)[None]


def _reach(length: int, kernel: int) -> int:
    """Rows that a kernel sees to either side: never only ones that are not there."""
    return min(kernel // 2, length - 1)


def _kept(channels: int, following: int, length: int, kernel: int) -> nn.Conv1d:
    reach = _reach(length, kernel)
    return nn.Conv1d(channels, following, 2 * reach + 1, padding=reach)


def _halved(channels: int, length: int, kernel: int) -> nn.Conv1d:
    """From `length` rows to half of them, rounded up."""
    reach = _reach(length, kernel)
    return nn.Conv1d(channels, channels, 2 * reach + 1, stride=2, padding=reach)


def _doubled(channels: int, length: int, kernel: int) -> nn.ConvTranspose1d:
    """Back to `length` rows from half of them."""
    reach = _reach(length, kernel)
    return nn.ConvTranspose1d(
        channels, channels, 2 * reach + 1, stride=2, padding=reach, output_padding=1 - length % 2
    )
