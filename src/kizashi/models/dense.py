"""The fully connected autoencoder: Linear → ReLU down to a bottleneck, and back up."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from kizashi.errors import ConfigurationError
from kizashi.models.autoencoder import Autoencoder


class DenseAutoencoder(Autoencoder):
    """Rebuilds a window from `latent` numbers.

    `hidden` are the widths of the encoder's hidden layers, mirrored in the decoder. `latent` None
    means half of the window's values, rounded up, and no more than the narrowest hidden layer:
    narrow enough that the network must learn how the sensors hang together. Raises
    ConfigurationError for a width below 1.
    """

    def __init__(
        self,
        n_sensors: int,
        window_length: int = 1,
        hidden: Sequence[int] = (64, 32),
        latent: int | None = None,
    ) -> None:
        super().__init__()
        if any(width < 1 for width in hidden):
            raise ConfigurationError(f"hidden is {list(hidden)}; widths from 1 are needed")
        if latent is not None and latent < 1:
            raise ConfigurationError(f"latent is {latent}; a whole number from 1 is needed")
        values = n_sensors * window_length
        bottleneck = latent or min([(values + 1) // 2, *hidden])
        self.window_length, self.n_sensors = window_length, n_sensors
        self.encoder = _layers([values, *hidden, bottleneck])
        self.decoder = _layers([bottleneck, *reversed(hidden), values])

    def forward(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """The rebuilt windows, shape (1, B, T, F)."""
        latent_BL: torch.Tensor = self.encoder(windows_BTF.flatten(1))
        rebuilt: torch.Tensor = self.decoder(latent_BL)
        return rebuilt.reshape(1, -1, self.window_length, self.n_sensors)


def _layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers between `widths`, with a ReLU after each but the last."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
