"""The one Lightning module: it makes the loss of any network small."""

import pytorch_lightning as lightning
import torch

from kizashi.models.autoencoder import Autoencoder

RISE = 0.05
"""Share of the steps in which the learning rate rises."""


class ReconstructionTask(lightning.LightningModule):
    """Trains a network on scaled normal windows, disturbed by `noise` as its `loss` takes it.

    The learning rate rises for a twentieth of `total_steps` and then falls along a cosine (Smith
    and Topin, "Super-convergence", 2018).
    """

    def __init__(
        self, network: Autoencoder, learning_rate: float, noise: float, total_steps: int
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.noise = noise
        self.total_steps = total_steps

    def training_step(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        loss = self.network.loss(windows_BTF, self.noise)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(windows_BTF))
        return loss

    def validation_step(self, windows_BTF: torch.Tensor) -> None:
        loss = self.network.validation_loss(windows_BTF)
        self.log("validation_loss", loss, prog_bar=True, batch_size=len(windows_BTF))

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.learning_rate, weight_decay=1e-4
        )
        # A rise of less than one step would be divided by.
        rise = max(RISE, 2 / self.total_steps) if self.total_steps > 2 else RISE
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, self.total_steps, pct_start=rise
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
