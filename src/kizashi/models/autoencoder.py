"""What every network has in common: it rebuilds windows, and says how well it does."""

import torch
from torch import nn


class Autoencoder(nn.Module):
    """Rebuilds scaled windows: input of shape (B, T, F), output (M, B, T, F) for M members.

    A network is made from the number of sensors, the window length and its own settings. It learns
    by `loss`; one that learns in another way overrides it.
    """

    def meet(self, windows_BTF: torch.Tensor) -> None:
        """Settle what depends on the data, from the windows of training, before it begins."""

    def loss(self, windows_BTF: torch.Tensor, noise: float) -> torch.Tensor:
        """What training makes small: the mean squared error of windows rebuilt from disturbed ones.

        Gaussian noise of standard deviation `noise`, in scaled units, is added to the input but not
        to the target: the network learns to bring a disturbed row back to where normal rows lie
        (Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010) instead of copying.
        """
        disturbed_BTF = windows_BTF + noise * torch.randn_like(windows_BTF)
        rebuilt_MBTF: torch.Tensor = self(disturbed_BTF)
        return (rebuilt_MBTF - windows_BTF).square().mean()

    def validation_loss(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        """`loss` on other windows, with the same noise at every call, so that epochs compare."""
        devices = [windows_BTF.device] if windows_BTF.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            return self.loss(windows_BTF, 0.0)
