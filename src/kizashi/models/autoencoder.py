"""What every network has in common: it rebuilds windows, and says how well it does."""

import torch
from torch import nn


class Autoencoder(nn.Module):
    """Rebuilds scaled windows: input and output have shape (B, T, F).

    A network is made from the number of sensors, the window length and its own settings. It learns
    by `loss`; one that learns in another way overrides both losses.
    """

    def loss(self, windows_BTF: torch.Tensor, noise: float) -> torch.Tensor:
        """What training makes small: the mean squared error of windows rebuilt from disturbed ones.

        Gaussian noise of standard deviation `noise`, in scaled units, is added to the input but not
        to the target: the network learns to bring a disturbed row back to where normal rows lie
        (Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010) instead of copying.
        """
        disturbed_BTF = windows_BTF + noise * torch.randn_like(windows_BTF)
        return nn.functional.mse_loss(self(disturbed_BTF), windows_BTF)

    def validation_loss(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """What early stopping compares on held-out windows: a function of the weights alone."""
        return nn.functional.mse_loss(self(windows_BTF), windows_BTF)
