import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.data.order import time_order


@settings(deadline=None)
@given(st.lists(st.integers(0, 15), max_size=12))
def test_time_order_sets_aside_as_few_rows_as_possible(stamps: list[int]) -> None:
    times_N = np.array(stamps, dtype=np.int64)
    order = time_order(times_N, np.arange(len(stamps)))
    assert (np.diff(times_N[order.kept]) > 0).all()
    everything = np.concatenate([order.kept, order.repeated, order.misplaced])
    assert sorted(everything.tolist()) == list(range(len(stamps)))
    longest: list[int] = []  # rise that ends in each row, by trying every earlier row
    for stamp in stamps:
        rises = [rise for rise, earlier in zip(longest, stamps, strict=False) if earlier < stamp]
        longest.append(1 + max(rises, default=0))
    assert len(order.kept) == max(longest, default=0)
    assert (times_N[order.repeated] == times_N[order.repeated_partner]).all()
    clash = np.sign(order.misplaced - order.misplaced_partner) * np.sign(
        times_N[order.misplaced] - times_N[order.misplaced_partner]
    )
    assert (clash < 0).all()
