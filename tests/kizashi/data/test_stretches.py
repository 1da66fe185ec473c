"""Which rows follow one another: pauses, and rows that were left out."""

import math

import numpy as np
import pandas as pd
import pytest

from kizashi.data.load import infer_contract
from kizashi.data.source import DataSource
from kizashi.data.stretches import STRETCH, MaxStep, longest_step
from kizashi.data.validate import Validation, examine
from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import DataContract, Sensor


def table(*steps: float) -> pd.DataFrame:
    """Rows with these seconds between them, one row more than steps."""
    seconds = np.cumsum([0.0, *steps])
    stamps = pd.Timestamp("2026-01-05T06:00:00Z") + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame({"at": stamps, "flow": np.arange(len(stamps)) % 7.0})


def examined(
    frame: pd.DataFrame,
    timestamp: str | None = "at",
    max_step: MaxStep = "auto",
    window_length: int = 2,
) -> Validation:
    contract = DataContract((Sensor("flow", "l/min", 0, 20),), window_length)
    return examine(frame, contract, timestamp, max_step=max_step)


def numbers(validation: Validation) -> list[int]:
    return [int(number) for number in validation.rows[STRETCH]]


def test_a_step_of_more_than_ten_usual_ones_is_a_pause() -> None:
    frame = table(1, 1, 1, 10, 1, 10.5, 1, 1)
    assert numbers(examined(frame)) == [0, 0, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("max_step", "expected"),
    [(2, [0, 0, 0, 1, 1, 2]), (5.0, [0, 0, 0, 0, 0, 1]), (None, [0] * 6), (1e9, [0] * 6)],
)
def test_how_long_a_step_may_be_can_be_said(max_step: MaxStep, expected: list[int]) -> None:
    assert numbers(examined(table(1, 1, 3, 1, 1000), max_step=max_step)) == expected


def test_rows_that_got_lost_and_uneven_steps_are_no_pauses() -> None:
    lost = np.where(np.arange(2000) % 20 == 0, 2.0, 1.0)
    assert numbers(examined(table(*lost)))[-1] == 0
    by_chance = np.random.default_rng(0).exponential(30, 5000)
    assert numbers(examined(table(*by_chance)))[-1] <= 10  # one in a thousand is as long


@pytest.mark.parametrize("timestamp", ["at", None])
@pytest.mark.parametrize("cell", ["", "n/a", "99"])
def test_a_row_that_was_left_out_parts_those_before_and_after_it(
    timestamp: str | None, cell: str
) -> None:
    frame = table(*[1] * 7).astype({"flow": object})
    frame.loc[3, "flow"] = cell
    validation = examined(frame, timestamp)
    assert validation.quarantine["row"].tolist() == [4]
    assert numbers(validation) == [0, 0, 0, 1, 1, 1, 1]


def test_a_row_left_out_at_either_end_parts_nothing() -> None:
    frame = table(*[1] * 5).astype({"flow": object})
    frame.loc[[0, 5], "flow"] = ""
    assert numbers(examined(frame)) == [0, 0, 0, 0]


def test_a_record_that_is_written_twice_or_out_of_place_parts_nothing() -> None:
    frame = table(*[1] * 7)
    twice = pd.concat([frame[:4], frame[3:]])
    assert numbers(examined(twice)) == [0] * 8
    out_of_place = pd.concat([frame[:3], frame[6:7], frame[3:]])
    validation = examined(out_of_place)
    assert len(validation.quarantine) == 1
    assert numbers(validation) == [0] * 8


def test_a_row_without_a_time_was_sent_and_is_lost_from_between_its_neighbours() -> None:
    frame = table(*[1] * 5).astype({"at": object})
    frame.loc[2, "at"] = "?"
    assert numbers(examined(frame)) == [0, 0, 1, 1, 1]


def test_rows_in_no_window_are_counted_and_said() -> None:
    report = examined(table(*[1] * 30, 3600, 1, 3600, *[1] * 30), window_length=5).report
    assert report["stretches"] == {
        "max_step_s": 10.0,
        "count": 3,
        "longest_rows": 31,
        "window_length": 5,
        "rows_in_no_window": 2,
    }
    said = "2 rows are in no window of 5 rows, because their stretch is shorter"
    assert said in report["warnings"]


def test_where_no_window_is_whole_the_error_says_how_long_the_longest_stretch_is() -> None:
    hourly = examined(table(*[1, 1, 1, 3600] * 10), window_length=5)
    message = (
        r"^no window of 5 rows is whole: pauses \(steps above 10 s\) or rows left out part the "
        r"rows into 11 stretches, the longest of 4 rows; choose a shorter window.length, or a "
        r"larger data.max_step where these steps are no pauses$"
    )
    with pytest.raises(DataError, match=message):
        hourly.require_usable()


def test_rows_judged_alone_are_usable_however_they_are_parted() -> None:
    alone = examined(table(*[1, 3600] * 10), window_length=1, max_step=5)
    assert alone.require_usable().report["warnings"] == []


def test_without_two_times_no_step_is_known() -> None:
    assert longest_step(pd.Series([pd.Timestamp("2026-01-05", tz="UTC")]), "auto") == math.inf
    assert longest_step(pd.Series([], dtype="datetime64[us, UTC]"), "auto") == math.inf


@pytest.mark.parametrize("max_step", ["long", "", 0, -1.0, math.nan, math.inf, True])
def test_what_is_no_step_is_refused(max_step: MaxStep) -> None:
    message = f"^max_step is {max_step!r}; a number of seconds above 0, auto or null is needed$"
    with pytest.raises(ConfigurationError, match=message):
        DataSource("data.csv", max_step=max_step)


def test_a_table_that_an_earlier_run_left_has_its_stretches_and_no_sensor_more() -> None:
    rows = examined(table(1, 1, 100, 1)).rows
    assert infer_contract(rows, "at").names == ("flow",)
    again = examined(rows)
    assert numbers(again) == [0, 0, 0, 1, 1]
    assert again.report["ignored_columns"] == []
