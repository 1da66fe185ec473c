import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.data.split import (
    KEPT_OF_TRAIN,
    LEAST_WINDOWS,
    MAY_BE_EMPTY,
    PARTS,
    ChronologicalSplit,
    RandomSplit,
)
from kizashi.errors import ConfigurationError, DataError


def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"row": range(rows), "a": 1.0}, index=range(7, rows + 7))


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    weights = {name: draw(st.integers(0 if name in MAY_BE_EMPTY else 1, 60)) for name in PARTS}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


@settings(deadline=None)
@given(shares(), st.integers(0, 20), st.integers(1, 12), st.integers(0, 3000))
def test_consecutive_parts_leave_out_nothing_but_the_gaps(
    wanted: dict[str, float], gap: int, window_length: int, rows: int
) -> None:
    split = ChronologicalSplit(**wanted, gap=gap)
    try:
        parts = split(table(rows), window_length)
    except DataError as refused:
        needed = int(str(refused).split("at least ")[1].split()[0])
        assert rows < needed
        parts = split(table(needed), window_length)
        rows = needed
    between = max(gap, window_length)
    assert tuple(parts) == PARTS
    present = {name: part for name, part in parts.items() if wanted[name]}
    gaps = between * (len(present) - 1)
    assert all(len(part) == 0 for name, part in parts.items() if name not in present)
    end = -between
    for name, part in present.items():
        assert part["row"].tolist() == list(range(end + between, end + between + len(part)))
        assert len(part) >= window_length + LEAST_WINDOWS - 1
        assert part.index.tolist() == list(range(len(part)))
        share = wanted[name] * (rows - gaps)
        if name == "train":
            assert KEPT_OF_TRAIN * (share - 1) < len(part) < share + len(PARTS)
        else:
            assert share - 1 < len(part) <= max(share + 1e-6, window_length + LEAST_WINDOWS - 1)
        end += between + len(part)
    assert end == rows


@settings(deadline=None)
@given(shares(), st.integers(0, 9), st.integers(0, 2000))
def test_random_parts_are_disjoint_and_hold_every_row(
    wanted: dict[str, float], seed: int, rows: int
) -> None:
    split = RandomSplit(**wanted, seed=seed)
    try:
        parts = split(table(rows))
    except DataError as refused:
        rows = int(str(refused).split("at least ")[1].split()[0])
        parts = split(table(rows))
    assert sorted(row for part in parts.values() for row in part["row"]) == list(range(rows))
    assert all(part["row"].is_monotonic_increasing for part in parts.values())


def test_one_row_less_than_needed_is_refused_with_the_number() -> None:
    with pytest.raises(DataError, match=r"13 rows are too few .* at least 14 are needed"):
        ChronologicalSplit()(table(13))
    assert [len(part) for part in ChronologicalSplit()(table(14)).values()] == [5, 2, 2, 2]


def test_a_small_part_of_few_rows_gets_what_it_must_have_from_train() -> None:
    parts = RandomSplit(0.8, 0.1, 0.05, 0.05)(table(33))
    assert [len(part) for part in parts.values()] == [26, 3, 2, 2]


def test_windows_widen_the_gap_and_raise_the_need() -> None:
    parts = ChronologicalSplit(gap=3)(table(1000), window_length=10)
    assert parts["validation"]["row"].iloc[0] - parts["train"]["row"].iloc[-1] == 11
    with pytest.raises(DataError, match="with gaps of 10 rows between them; at least 97"):
        ChronologicalSplit()(table(96), window_length=10)


def test_the_default_shares_hold() -> None:
    parts = ChronologicalSplit()(table(40_003))
    assert [len(part) for part in parts.values()] == [24_000, 4_000, 8_000, 4_000]


def test_a_part_without_a_share_is_empty_and_keeps_its_columns() -> None:
    split = ChronologicalSplit(train=0.9, validation=0.0, calibration=0, holdout=0.1)
    parts = split(table(1010), window_length=10)
    assert [len(part) for part in parts.values()] == [900, 0, 0, 100]
    assert list(parts["calibration"]) == ["row", "a"]
    with pytest.raises(DataError, match="to split into train, holdout with gaps of 10 rows"):
        split(table(20), window_length=10)


def test_a_random_split_follows_its_seed() -> None:
    first, again, other = (RandomSplit(seed=seed)(table(200)) for seed in (1, 1, 2))
    assert first["train"].equals(again["train"])
    assert not first["train"].equals(other["train"])


def test_a_random_split_of_windows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="use the chronological split"):
        RandomSplit()(table(1000), window_length=2)


@pytest.mark.parametrize("kind", [ChronologicalSplit, RandomSplit])
def test_shares_out_of_range_are_refused(
    kind: type[ChronologicalSplit] | type[RandomSplit],
) -> None:
    with pytest.raises(ConfigurationError, match=r"holdout is 0\.0; .* above 0 and below 1"):
        kind(train=0.7, holdout=0.0)
    with pytest.raises(ConfigurationError, match=r"validation is -0\.1; .* from 0 and below 1"):
        kind(train=0.8, validation=-0.1)
    with pytest.raises(ConfigurationError, match=r"holdout is nan"):
        kind(holdout=float("nan"))
    with pytest.raises(ConfigurationError, match=r"train 0\.7 .* sum to 1\.1"):
        kind(train=0.7)


def test_a_negative_gap_or_seed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="gap is -1"):
        ChronologicalSplit(gap=-1)
    with pytest.raises(ConfigurationError, match="seed is -1"):
        RandomSplit(seed=-1)
