"""The network that fills in missing values from those that are there."""

import torch
from torch import nn

from kizashi.models.autoencoder import Autoencoder
from kizashi.models.denoising import NARROWEST, WIDEST, WIDTH_PER_VALUE

NOISE = 0.1
"""Standard deviation of the noise on the values that are there, in scaled units: what is filled in
must not hang on their last digit."""
MOST_MISSING = 0.6
"""The largest share of values that training leaves out of a window."""
WEIGHT_OF_PRESENT = 0.1


class MaskedAutoencoder(Autoencoder):
    """Rebuilds scaled windows in which missing values are NaN.

    It sees the values, 0 where one is missing, and which are missing; it learns from whole windows
    out of which values are taken (masked, as words are in language models; for tables the mean of
    what is missing given the rest, which the squared error leads to, is what single imputation
    wants: Little and Rubin, "Statistical analysis with missing data", 2019, section 4.2).
    """

    def __init__(self, n_sensors: int, window_length: int = 1) -> None:
        super().__init__()
        values = n_sensors * window_length
        width = min(max(WIDTH_PER_VALUE * values, NARROWEST), WIDEST)
        self.window_length, self.n_sensors = window_length, n_sensors
        self.layers = nn.Sequential(
            nn.Linear(2 * values, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, values),
        )

    def forward(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """The rebuilt windows, shape (1, B, T, F)."""
        missing_BTF = torch.isnan(windows_BTF)
        present_BTF = torch.where(missing_BTF, torch.zeros_like(windows_BTF), windows_BTF)
        seen_BV = torch.cat([present_BTF.flatten(1), missing_BTF.flatten(1).float()], dim=1)
        rebuilt_BV: torch.Tensor = self.layers(seen_BV)
        return rebuilt_BV.reshape(1, -1, self.window_length, self.n_sensors)

    def loss(self, windows_BTF: torch.Tensor, noise: float) -> torch.Tensor:
        """The squared error of windows rebuilt from noisy ones with values taken out; the trainer's
        own noise is not used."""
        missing_BTF = self._drawn(windows_BTF)
        disturbed_BTF = windows_BTF + NOISE * torch.randn_like(windows_BTF)
        rebuilt_BTF: torch.Tensor = self(disturbed_BTF.masked_fill(missing_BTF, torch.nan))[0]
        weight_BTF = torch.where(missing_BTF, 1.0, WEIGHT_OF_PRESENT)
        error_BTF = weight_BTF * (rebuilt_BTF - windows_BTF).square()
        return error_BTF.sum() / weight_BTF.sum()

    def _drawn(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """What to take out: of half of the windows whole sensors, which is what a broken cable
        does, of the others single values; one at least, and a share that varies by window."""
        windows, length, sensors = windows_BTF.shape
        device = windows_BTF.device
        share_B11 = MOST_MISSING * torch.rand(windows, 1, 1, device=device)
        by_sensor_B11 = torch.rand(windows, 1, 1, device=device) < 0.5
        draw_B1F = torch.rand(windows, 1, sensors, device=device)
        draw_BTF = torch.rand(windows, length, sensors, device=device)
        draw_BTF = torch.where(by_sensor_B11 & (sensors > 1), draw_B1F, draw_BTF)
        least_B11 = draw_BTF.flatten(1).amin(1)[:, None, None]
        taken_BTF: torch.Tensor = draw_BTF <= torch.maximum(share_B11, least_B11)
        return taken_BTF
