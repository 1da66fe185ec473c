import numpy as np
import pandas as pd
import pytest

from kizashi.data.cells import numbers, times


def test_only_finite_numbers_are_numbers() -> None:
    cells = ["1.5", " 2 ", "1e3", "", "n/a", "inf", "-inf", "NaN", "True", "1_000", "1,5", "0x10"]
    readings = numbers(pd.Series(cells)).to_numpy()
    assert readings[:3].tolist() == [1.5, 2.0, 1000.0]
    assert np.isnan(readings[3:]).all()


def test_text_becomes_the_same_number_that_python_reads() -> None:
    texts = [repr(value) for value in np.random.default_rng(0).normal(size=500).tolist()]
    assert numbers(pd.Series(texts)).tolist() == [float(text) for text in texts]


def test_booleans_and_times_are_no_readings() -> None:
    assert numbers(pd.Series([True, False])).isna().all()
    assert numbers(pd.Series(pd.to_datetime(["2026-01-05"]))).isna().all()
    assert numbers(pd.Series([1, None], dtype="Int64")).tolist()[:1] == [1.0]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T10:00:00Z",
        "2026-01-05 10:00:00",
        "2026/1/5 10:00",
        "2026-01-05T19:00:00+09:00",
        " 2026-01-05T10:00:00.000 ",
    ],
)
def test_ways_to_write_one_time_are_one_time(text: str) -> None:
    assert times(pd.Series([text])).tolist() == [pd.Timestamp("2026-01-05T10:00:00Z")]


@pytest.mark.parametrize("text", ["", "05.01.2026 10:00", "05/01/2026", "now", "today", "soon"])
def test_what_is_no_time_or_could_be_two_is_none(text: str) -> None:
    assert times(pd.Series([text])).isna().all()


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_numbers_are_times_since_1970_in_the_unit_of_their_size(unit: int) -> None:
    stamp = pd.Timestamp("2026-01-05T10:00:00Z")
    count = int(stamp.timestamp()) * unit
    assert times(pd.Series([count])).tolist() == [stamp]
    assert times(pd.Series([str(count)])).tolist() == [stamp]


def test_a_time_far_beyond_the_calendar_is_none() -> None:
    stamps = times(pd.Series(["0", "0.5", "1", "1e300"]))
    assert stamps.isna().tolist() == [False, False, False, True]
    assert (stamps[1] - stamps[0]).total_seconds() == 0.5
