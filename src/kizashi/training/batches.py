"""Batches of windows straight from one tensor: one indexing call a batch, none per row."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch


class WindowBatches:
    """Iterates over scaled windows (B, T, F) in batches, in a new order each time if `shuffle`."""

    def __init__(
        self, windows_BTF: npt.NDArray[np.float64], batch_size: int, *, shuffle: bool, seed: int = 0
    ) -> None:
        self._windows = torch.from_numpy(np.ascontiguousarray(windows_BTF, dtype=np.float32))
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return math.ceil(len(self._windows) / self._batch_size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        if not self._shuffle:
            yield from torch.split(self._windows, self._batch_size)
            return
        order = torch.randperm(len(self._windows), generator=self._generator)
        for chosen in torch.split(order, self._batch_size):
            yield self._windows[chosen]
