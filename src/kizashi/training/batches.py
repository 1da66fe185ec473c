"""Batches of windows straight from one tensor: one indexing call a batch, none per row."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch


class RandomBatches:
    """Iterates over `count` batches of scaled windows (B, T, F), each drawn anew with repetition.

    So a step is a step, whether there are fifty windows or fifty million.
    """

    def __init__(
        self, windows_BTF: npt.NDArray[np.float64], batch_size: int, count: int, seed: int
    ) -> None:
        self.windows = as_tensor(windows_BTF)
        self._batch_size = batch_size
        self._count = count
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[torch.Tensor]:
        for _ in range(self._count):
            drawn = torch.randint(len(self.windows), (self._batch_size,), generator=self._generator)
            yield self.windows[drawn]


class OrderedBatches:
    """Iterates over all windows (B, T, F) once, in their order.

    No plain list: Lightning takes the members of one for loaders of their own.
    """

    def __init__(self, windows_BTF: npt.NDArray[np.float64], batch_size: int = 16_384) -> None:
        self._batches = torch.split(as_tensor(windows_BTF), batch_size)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(self._batches)


def as_tensor(windows_BTF: npt.NDArray[np.float64]) -> torch.Tensor:
    """Windows in single precision, as networks take them."""
    return torch.from_numpy(np.ascontiguousarray(windows_BTF, dtype=np.float32))
