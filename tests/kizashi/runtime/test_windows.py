from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizashi.errors import DataError
from kizashi.runtime.windows import Rows, sliding_windows


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


STRETCHES = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def rows_of(lengths: list[int]) -> Rows:
    """Stretches of these lengths, each row its own place."""
    count = sum(lengths)
    return Rows(np.arange(count, dtype=float)[:, None], np.repeat(np.arange(len(lengths)), lengths))


@given(STRETCHES, st.integers(1, 6))
def test_windows_are_those_of_each_stretch_alone_in_order(lengths: list[int], length: int) -> None:
    rows = rows_of(lengths)
    edges = np.cumsum([0, *lengths])
    ends = [place for first, last in pairwise(edges) for place in range(first + length - 1, last)]
    assert rows.ends(length).tolist() == ends
    assert rows.lengths.tolist() == lengths
    if ends:
        windows_BTF = rows.windows(length)
        assert windows_BTF[:, -1, 0].tolist() == ends
        assert (np.diff(windows_BTF[..., 0], axis=1) == 1).all()
    else:
        with pytest.raises(DataError, match=f"one window needs {length}"):
            rows.windows(length)


@given(STRETCHES, STRETCHES)
def test_rows_that_follow_others_join_none_of_their_stretches(
    lengths: list[int], later: list[int]
) -> None:
    together = rows_of(lengths).followed_by(rows_of(later))
    assert together.lengths.tolist() == [*lengths, *later]
    assert together[: sum(lengths)].lengths.tolist() == lengths


def test_without_pauses_windows_stay_a_view() -> None:
    rows = Rows(np.zeros((100, 3)))
    assert rows.lengths.tolist() == [100]
    assert np.shares_memory(rows.windows(8), rows.values_NF)
    assert len(rows[:0].lengths) == 0


def test_no_whole_window_says_how_long_the_longest_stretch_is() -> None:
    message = (
        "^9 holdout rows came in 3 stretches without a pause, the longest of 4; one window needs "
        "5: choose a shorter window.length, or a larger data.max_step where these steps are no "
        "pauses$"
    )
    with pytest.raises(DataError, match=message):
        rows_of([2, 4, 3]).windows(5, "holdout rows")


def test_marks_for_another_number_of_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"^there are 3 rows and 2 marks$"):
        Rows(np.zeros((3, 1)), np.zeros(2, dtype=np.int64))
