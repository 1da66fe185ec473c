import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.training.batches import OrderedBatches, RandomBatches


def numbered(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.arange(count, dtype=np.float64).reshape(-1, 1, 1)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 250), st.integers(1, 5))
def test_batches_are_as_many_and_as_large_as_asked_whatever_there_is_to_draw_from(
    windows: int, batch_size: int, count: int
) -> None:
    batches = RandomBatches(numbered(windows), batch_size, count, seed=0)
    drawn = list(batches)
    assert len(drawn) == len(batches) == count
    assert all(batch.shape == (batch_size, 1, 1) for batch in drawn)
    assert set(torch.cat(drawn).flatten().tolist()) <= set(range(windows))


def test_every_window_is_drawn_about_as_often() -> None:
    drawn = torch.cat(list(RandomBatches(numbered(10), 256, 40, seed=0))).flatten().long()
    share = torch.bincount(drawn, minlength=10) / len(drawn)
    assert ((share - 0.1).abs() < 0.015).all()


def test_each_epoch_draws_anew_and_the_same_seed_draws_the_same() -> None:
    def epochs(seed: int) -> list[list[float]]:
        batches = RandomBatches(numbered(100), 16, 3, seed)
        return [torch.cat(list(batches)).flatten().tolist() for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_are_single_precision(dtype: type[np.floating]) -> None:
    windows_BTF = np.ones((5, 2, 3)).astype(dtype).astype(np.float64)
    (batch,) = RandomBatches(windows_BTF, 8, 1, seed=0)
    assert batch.dtype == torch.float32
    assert batch.shape == (8, 2, 3)
    (batch,) = OrderedBatches(windows_BTF)
    assert batch.dtype == torch.float32
    assert batch.shape == (5, 2, 3)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 250))
def test_ordered_batches_have_every_window_once_in_its_order(count: int, batch_size: int) -> None:
    batches = OrderedBatches(numbered(count), batch_size)
    drawn = list(batches)
    assert len(drawn) == len(batches)
    assert all(len(batch) <= batch_size for batch in drawn)
    assert torch.cat(drawn).flatten().tolist() == list(range(count))
