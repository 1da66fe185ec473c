import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.data.load import read_table
from kizashi.data.report import FINDINGS_SHOWN
from kizashi.data.stretches import STRETCH
from kizashi.data.validate import Validation, examine
from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import DataContract, Sensor

CONTRACT = DataContract((Sensor("pressure", "bar", 0, 20), Sensor("flow", "l/min")))


def validate(
    frame: pd.DataFrame,
    contract: DataContract,
    timestamp: str | None,
    max_bad_share: float = 0.01,
    labelled: bool = False,
) -> Validation:
    """The validation of a table whose rows must be usable."""
    return examine(frame, contract, timestamp, labelled).require_usable(max_bad_share)


def table(rows: int = 400) -> pd.DataFrame:
    """Good rows as text, as a CSV file gives them."""
    stamps = pd.date_range("2026-01-05", periods=rows, freq="30s").strftime("%Y-%m-%dT%H:%M:%SZ")
    return pd.DataFrame(
        {
            "timestamp": stamps,
            "pressure": [f"{5 + row % 7}.5" for row in range(rows)],
            "flow": [f"{row % 11}" for row in range(rows)],
        },
        dtype="str",
    )


def with_cells(cells: dict[tuple[int, str], str], rows: int = 400) -> pd.DataFrame:
    """The good table with other text in some cells; rows count from 1."""
    frame = table(rows)
    for (row, column), text in cells.items():
        frame.loc[row - 1, column] = text
    return frame


def reasons(validation: Validation) -> dict[int, str]:
    quarantine = validation.quarantine
    return dict(zip(quarantine["row"].tolist(), quarantine["reason"].tolist(), strict=True))


def test_good_rows_come_out_as_times_and_numbers_in_contract_order() -> None:
    frame = table()[["flow", "pressure", "timestamp"]]
    rows = validate(frame, CONTRACT, "timestamp").rows
    assert list(rows.columns) == ["timestamp", "pressure", "flow", STRETCH]
    assert rows["timestamp"].iloc[1] == pd.Timestamp("2026-01-05T00:00:30Z")
    assert rows["pressure"].tolist() == [5 + row % 7 + 0.5 for row in range(400)]
    assert rows["flow"].dtype == np.float64


@pytest.mark.parametrize(
    ("column", "cell", "kind", "reason"),
    [
        (
            "pressure",
            "n/a",
            "not_a_number",
            "sensor 'pressure' is 'n/a'; a number in bar is needed",
        ),
        ("pressure", "", "missing_value", "sensor 'pressure' is empty; a number in bar is needed"),
        ("flow", "NaN", "not_a_number", "sensor 'flow' is 'NaN'; a number in l/min is needed"),
        ("flow", "inf", "not_a_number", "sensor 'flow' is 'inf'; a number in l/min is needed"),
        (
            "flow",
            "-1e300",
            "too_large",
            "sensor 'flow' is '-1e300'; a size of at most 1e+100 is needed",
        ),
        (
            "pressure",
            "20.01",
            "out_of_range",
            "sensor 'pressure' is '20.01'; the instrument reads from 0 to 20 bar",
        ),
        (
            "timestamp",
            "noon",
            "bad_timestamp",
            "timestamp is 'noon'; a time such as 2026-01-05T00:00:00Z is needed",
        ),
        (
            "timestamp",
            "2026-01-05T00:00:00Z",
            "duplicate_timestamp",
            "timestamp '2026-01-05T00:00:00Z' stands already in row 1",
        ),
        (
            "timestamp",
            "2026-01-05T00:01:10Z",
            "unordered_timestamp",
            (
                "timestamp '2026-01-05T00:01:10Z' is out of order; "
                "a time after '2026-01-05T00:07:30Z' of row 16 is needed"
            ),
        ),
        (
            "timestamp",
            "2027-01-05T00:00:00Z",
            "unordered_timestamp",
            (
                "timestamp '2027-01-05T00:00:00Z' is out of order; "
                "a time before '2026-01-05T00:08:30Z' of row 18 is needed"
            ),
        ),
    ],
)
def test_one_bad_cell_costs_its_row_and_is_named(
    column: str, cell: str, kind: str, reason: str
) -> None:
    validation = validate(with_cells({(17, column): cell}), CONTRACT, "timestamp")
    assert reasons(validation) == {17: reason}
    assert validation.quarantine[column].tolist() == [cell]
    assert len(validation.rows) == 399
    assert validation.report["counts"] == {kind: 1}
    (finding,) = validation.report["findings"]["first"]
    assert (finding["row"], finding["column"], finding["kind"]) == (17, column, kind)
    assert finding["detail"] == f"row 17: {reason}"


def test_all_that_is_wrong_with_a_row_is_one_reason() -> None:
    cells = {(3, "pressure"): "-1", (3, "flow"): "off", (3, "timestamp"): "?"}
    validation = validate(with_cells(cells), CONTRACT, "timestamp")
    assert reasons(validation)[3].split("; ")[::2] == [
        "timestamp is '?'",
        "sensor 'pressure' is '-1'",
        "sensor 'flow' is 'off'",
    ]
    assert validation.report["bad_rows"] == 1
    assert validation.report["findings"]["total"] == 3


def test_a_row_with_too_many_cells_is_bad_and_its_neighbours_are_not(tmp_path: Path) -> None:
    text = table(200).to_csv(index=False).splitlines()
    text[17] += ",9"
    (tmp_path / "rows.csv").write_text("\n".join(text))
    validation = validate(read_table(tmp_path / "rows.csv"), CONTRACT, "timestamp")
    assert reasons(validation) == {17: "beyond the header stands '9'; 3 cells are needed"}
    assert len(validation.rows) == 199


def test_without_a_timestamp_the_order_of_the_file_counts() -> None:
    frame = table().iloc[::-1]
    rows = validate(frame, CONTRACT, None).rows
    assert list(rows.columns) == ["pressure", "flow", STRETCH]
    assert rows["flow"].tolist() == frame["flow"].astype(float).tolist()


def test_a_table_of_numbers_is_validated_like_one_of_text() -> None:
    frame = table()
    typed = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(frame["timestamp"]),
            "pressure": frame["pressure"].astype(float),
            "flow": frame["flow"].astype(int),
        }
    )
    typed.loc[16, "pressure"] = np.nan
    validation = validate(typed, CONTRACT, "timestamp")
    assert reasons(validation) == {17: "sensor 'pressure' is empty; a number in bar is needed"}
    expected = validate(with_cells({(17, "pressure"): ""}), CONTRACT, "timestamp").rows
    pd.testing.assert_frame_equal(validation.rows, expected, check_dtype=False)


def test_missing_columns_are_all_named_beside_those_that_are_there() -> None:
    frame = table().rename(columns={"flow": "Flow", "timestamp": "time"})
    with pytest.raises(DataError) as refused:
        validate(frame, CONTRACT, "timestamp")
    assert "'flow', 'timestamp' missing; the table has time, pressure, Flow" in str(refused.value)


def test_columns_that_nobody_asked_for_are_noted_and_left_out() -> None:
    validation = validate(table().assign(operator="x"), CONTRACT, "timestamp")
    assert validation.report["ignored_columns"] == ["operator"]
    assert "operator" not in validation.rows


def test_too_many_bad_rows_stop_with_counts_first_findings_and_advice() -> None:
    frame = with_cells({(row, "flow"): "off" for row in range(11, 19)})
    assert len(validate(frame, CONTRACT, "timestamp", max_bad_share=0.02).rows) == 392
    with pytest.raises(DataError) as refused:
        validate(frame, CONTRACT, "timestamp", max_bad_share=0.019)
    said = str(refused.value).splitlines()
    assert said[0] == "8 of 400 rows are bad (2.0%); at most 1.9% may be (not_a_number 8):"
    assert said[1] == "  row 11: sensor 'flow' is 'off'; a number in l/min is needed"
    assert said[6] == "  … 3 more"
    assert "data.max_bad_share" in said[7]


def test_a_refused_table_can_still_be_looked_at() -> None:
    validation = examine(with_cells({(1, "flow"): "off"}, rows=3), CONTRACT, "timestamp")
    assert len(validation.quarantine) == 1
    with pytest.raises(DataError, match="1 of 3 rows"):
        validation.require_usable()


def test_a_table_without_a_good_row_is_refused_whatever_is_allowed() -> None:
    with pytest.raises(DataError, match="none of the 400 rows can be used"):
        validate(table().assign(flow="off"), CONTRACT, "timestamp", max_bad_share=1)


def test_a_table_of_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match="none of the 0 rows"):
        validate(table(0), CONTRACT, "timestamp")


def test_rows_in_reverse_are_refused_with_advice_on_order() -> None:
    with pytest.raises(DataError, match="Sort the rows by time"):
        validate(table().iloc[::-1], CONTRACT, "timestamp")


def test_the_findings_of_a_table_that_is_all_bad_stay_few() -> None:
    validation = examine(table(5000).assign(flow="off", pressure=""), CONTRACT, "timestamp")
    assert validation.report["findings"]["total"] == 10_000
    assert len(validation.report["findings"]["first"]) == FINDINGS_SHOWN
    assert [f["row"] for f in validation.report["findings"]["first"][:4]] == [1, 1, 2, 2]
    with pytest.raises(DataError) as refused:
        validation.require_usable()
    assert len(str(refused.value)) < 1000


def test_an_endless_cell_is_quoted_at_its_beginning() -> None:
    frame = with_cells({(1, "flow"): "x" * 10_000})
    assert len(reasons(validate(frame, CONTRACT, "timestamp"))[1]) < 120


def test_a_constant_sensor_is_a_warning_and_constant_sensors_only_an_error() -> None:
    validation = validate(table().assign(flow="4"), CONTRACT, "timestamp")
    (warning,) = validation.report["warnings"]
    assert "sensor 'flow' is constant (4 in every row)" in warning
    assert validation.report["sensors"]["flow"]["constant"]
    with pytest.raises(DataError, match="every sensor is constant in all 400 good rows"):
        validate(table().assign(flow="4", pressure="5"), CONTRACT, "timestamp")


def test_a_sensor_that_counts_rows_is_a_warning() -> None:
    frame = table().assign(flow=[str(row) for row in range(400)])
    (warning,) = validate(frame, CONTRACT, "timestamp").report["warnings"]
    assert "sensor 'flow' rises in every row" in warning


def test_the_report_is_json_with_ranges_and_times() -> None:
    frame = with_cells({(400, "timestamp"): "2026-01-05T04:00:00Z"})
    report = json.loads(json.dumps(validate(frame, CONTRACT, "timestamp").report, allow_nan=False))
    assert report["sensors"]["pressure"] == {
        "unit": "bar",
        "min": 5.5,
        "max": 11.5,
        "mean": pytest.approx(8.5, abs=0.1),
        "constant": False,
    }
    assert report["time"]["typical_step_s"] == 30
    assert report["time"]["longest_step_s"] == 2460
    assert (report["source_rows"], report["good_rows"], report["bad_share"]) == (400, 400, 0)


def test_a_report_without_good_rows_is_json_too() -> None:
    report = examine(table().assign(timestamp=""), CONTRACT, "timestamp").report
    assert json.loads(json.dumps(report, allow_nan=False))["time"]["first"] is None


def test_a_record_written_twice_is_counted_as_a_repeat() -> None:
    frame = table()
    frame.loc[16] = frame.loc[15]
    report = validate(frame, CONTRACT, "timestamp").report
    assert report["repeated_rows"] == 1
    assert report["counts"] == {"duplicate_timestamp": 1}


def test_a_block_appended_a_second_time_costs_only_itself() -> None:
    frame = pd.concat([table(), table().iloc[100:200]])
    validation = examine(frame, CONTRACT, "timestamp")
    assert validation.quarantine["row"].tolist() == list(range(401, 501))
    assert validation.report["counts"] == {"duplicate_timestamp": 100}


def test_rows_labelled_as_anomalies_are_not_learnt_from() -> None:
    frame = table().assign(label=["1" if row == 16 else "0" for row in range(400)])
    validation = validate(frame, CONTRACT, "timestamp")
    assert reasons(validation) == {17: "label is '1'; only normal rows are learnt from"}
    assert "label" not in validation.rows


def test_labelled_rows_keep_readings_beyond_the_limits_with_label_and_fault() -> None:
    frame = with_cells({(2, "pressure"): "99", (3, "flow"): "1e300"}).assign(label="0", fault="")
    frame.loc[1, ["label", "fault"]] = ["1.0", " overload "]
    rows = validate(frame, CONTRACT, "timestamp", labelled=True).rows
    assert rows["label"].tolist()[:3] == [0, 1, 0]
    assert rows["fault"].tolist()[:3] == ["", "overload", ""]
    assert (rows["pressure"][1], rows["flow"][2]) == (99, 1e300)
    assert rows["label"].dtype == np.int64


@pytest.mark.parametrize("label", ["2", "", "yes", "0.5"])
def test_a_label_other_than_0_or_1_is_bad(label: str) -> None:
    frame = table().assign(label="0")
    frame.loc[16, "label"] = label
    validation = validate(frame, CONTRACT, "timestamp", labelled=True)
    shown = repr(label) if label else "empty"
    assert reasons(validation) == {17: f"label is {shown}; 0 or 1 is needed"}


def test_labelled_rows_need_a_label_and_no_fault() -> None:
    with pytest.raises(DataError, match="column 'label' missing"):
        validate(table(), CONTRACT, "timestamp", labelled=True)
    rows = validate(table().assign(label=True), CONTRACT, "timestamp", labelled=True).rows
    assert rows["label"].tolist() == [1] * 400
    assert set(rows["fault"]) == {""}


def test_text_and_nan_are_bad_in_labelled_rows_too() -> None:
    frame = with_cells({(17, "flow"): "off", (18, "pressure"): "nan"}).assign(label="0")
    validation = validate(frame, CONTRACT, "timestamp", labelled=True)
    assert validation.quarantine["row"].tolist() == [17, 18]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_an_impossible_share_of_bad_rows_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match="max_bad_share is"):
        validate(table(), CONTRACT, "timestamp", max_bad_share=share)


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_bad_rows_never_cost_a_good_one(off: set[int], empty: set[int], untimed: set[int]) -> None:
    cells = {(row, "flow"): "off" for row in off} | {(row, "pressure"): "" for row in empty}
    cells |= {(row, "timestamp"): "?" for row in untimed}
    validation = examine(with_cells(cells, rows=60), CONTRACT, "timestamp")
    bad = off | empty | untimed
    assert validation.quarantine["row"].tolist() == sorted(bad)
    good = table(60).drop(index=[row - 1 for row in bad])
    assert validation.rows["flow"].tolist() == good["flow"].astype(float).tolist()
