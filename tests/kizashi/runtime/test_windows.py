import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizashi.errors import DataError
from kizashi.runtime.windows import sliding_windows


@given(st.integers(1, 6), st.integers(0, 20), st.integers(1, 4))
def test_each_window_holds_a_row_and_those_right_before_it(
    length: int, more: int, sensors: int
) -> None:
    rows_NF = np.arange((length + more) * sensors, dtype=float).reshape(-1, sensors)
    windows_BTF = sliding_windows(rows_NF, length)
    assert windows_BTF.shape == (more + 1, length, sensors)
    for number, window_TF in enumerate(windows_BTF):
        assert np.array_equal(window_TF, rows_NF[number : number + length])


def test_windows_are_a_view_of_the_rows() -> None:
    rows_NF = np.zeros((100, 3))
    assert np.shares_memory(sliding_windows(rows_NF, 8), rows_NF)


def test_too_few_rows_say_how_many_are_needed() -> None:
    with pytest.raises(DataError, match=r"^3 rows came; one window needs 4$"):
        sliding_windows(np.zeros((3, 2)), 4)
