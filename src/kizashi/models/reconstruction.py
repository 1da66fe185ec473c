"""The one Lightning module: learn to rebuild normal windows from slightly disturbed ones."""

import pytorch_lightning as lightning
import torch
from torch import nn


class ReconstructionTask(lightning.LightningModule):
    """Trains any network from (B, T, F) to (B, T, F) on scaled normal windows.

    Gaussian noise of standard deviation `noise`, in scaled units, is added to the input but not to
    the target: the network learns to bring a disturbed row back to where normal rows lie (Vincent
    et al., "Stacked denoising autoencoders", JMLR 11, 2010) instead of copying its input. The
    learning rate falls to zero along a cosine over `total_steps`.
    """

    def __init__(
        self, network: nn.Module, learning_rate: float, noise: float, total_steps: int
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.noise = noise
        self.total_steps = total_steps

    def training_step(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        disturbed_BTF = windows_BTF + self.noise * torch.randn_like(windows_BTF)
        loss = nn.functional.mse_loss(self.network(disturbed_BTF), windows_BTF)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(windows_BTF))
        return loss

    def validation_step(self, windows_BTF: torch.Tensor) -> None:
        loss = nn.functional.mse_loss(self.network(windows_BTF), windows_BTF)
        self.log("validation_loss", loss, prog_bar=True, batch_size=len(windows_BTF))

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.learning_rate, weight_decay=1e-5
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.total_steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
