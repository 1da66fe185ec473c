import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.training.batches import WindowBatches


def numbered(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.arange(count, dtype=np.float64).reshape(-1, 1, 1)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 250), st.booleans())
def test_every_window_comes_once_an_epoch(count: int, batch_size: int, shuffle: bool) -> None:
    batches = WindowBatches(numbered(count), batch_size, shuffle=shuffle)
    epoch = list(batches)
    assert len(epoch) == len(batches)
    assert all(len(batch) <= batch_size for batch in epoch)
    assert sorted(torch.cat(epoch).flatten().tolist()) == list(range(count))


def test_without_shuffling_the_order_is_kept() -> None:
    batches = WindowBatches(numbered(10), 4, shuffle=False)
    assert torch.cat(list(batches)).flatten().tolist() == list(range(10))


def test_shuffling_gives_a_new_order_each_epoch_and_the_same_ones_for_the_same_seed() -> None:
    def epochs(seed: int) -> list[list[float]]:
        batches = WindowBatches(numbered(100), 16, shuffle=True, seed=seed)
        return [torch.cat(list(batches)).flatten().tolist() for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_are_single_precision(dtype: type[np.floating]) -> None:
    windows_BTF = np.ones((5, 2, 3)).astype(dtype).astype(np.float64)
    (batch,) = WindowBatches(windows_BTF, 8, shuffle=False)
    assert batch.dtype == torch.float32
    assert batch.shape == (5, 2, 3)
