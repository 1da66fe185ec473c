import numpy as np
import pytest

from kizashi.data.labelled import LabelledRows
from kizashi.errors import DataError
from kizashi.runtime.windows import Rows


def rows(conditions: str) -> LabelledRows:
    """One row a letter: `.` normal, a capital a fault that shows, the same in small one that does
    not show yet, `!` a faulty row without the fault's name."""
    letters = list(conditions)
    return LabelledRows(
        Rows(np.arange(len(letters), dtype=float)[:, None]),
        np.array([letter.isupper() or letter == "!" for letter in letters]),
        np.array([letter.upper() if letter.isalpha() else "" for letter in letters], dtype=str),
    )


@pytest.mark.parametrize(
    ("conditions", "first"),
    [
        ("..AA....BB..", "..AA.."),
        ("AABB", "AA"),  # one fault right after another
        (".AA..BB..CC.", ".AA..BB."),  # of an odd number the first half has one more
        ("..!!..!!..", "..!!."),
        ("aaAA..bbBB", "aaAA."),  # no fault is cut where it begins to show
        ("A.A.A.A.", "A.A"),
    ],
)
def test_the_halves_have_whole_faults_each(conditions: str, first: str) -> None:
    chosen, rest = rows(conditions).halves()
    assert len(chosen.rows) == len(first)
    assert len(chosen.rows) + len(rest.rows) == len(conditions)
    assert chosen.faults - rest.faults in (0, 1)
    assert rows(conditions).faults == chosen.faults + rest.faults


@pytest.mark.parametrize(("conditions", "have"), [("....", "0 faults"), ("..AAA", "1 fault")])
def test_fewer_than_two_faults_have_no_halves(conditions: str, have: str) -> None:
    with pytest.raises(DataError, match=f"^the labelled rows hold {have}; two are needed"):
        rows(conditions).halves()


def test_windows_carry_the_label_of_their_last_row_and_hidden_faults_count_as_neither() -> None:
    windows_BTF, label_B = rows("..aAA.").windows(2)
    assert windows_BTF[:, :, 0].tolist() == [[0, 1], [2, 3], [3, 4], [4, 5]]
    assert label_B.tolist() == [False, True, True, False]
