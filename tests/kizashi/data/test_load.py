import logging
from pathlib import Path

import pandas as pd
import pytest

from kizashi.data.load import (
    SURPLUS,
    data_contract,
    find_timestamp,
    infer_contract,
    read_table,
)
from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import Sensor


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "rows.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_cells_are_kept_as_they_were_written(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "time, pressure\n2026-01-05,1.50\n2026-01-06,NA\n"))
    assert frame.to_dict("list") == {
        "time": ["2026-01-05", "2026-01-06"],
        "pressure": ["1.50", "NA"],
    }


def test_blank_lines_count_between_rows_and_not_at_the_end(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,b\r\n1,2\r\n\r\n3,4\r\n\r\n\r\n"))
    assert frame["a"].tolist() == ["1", "", "3"]


def test_a_row_with_too_many_cells_is_kept_with_its_surplus(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,b\n1,2\n3,4,5,6\n7,8\n"))
    assert frame["a"].tolist() == ["1", "3", "7"]
    assert frame[SURPLUS].tolist() == ["", "5", ""]


def test_a_comma_at_the_end_of_each_row_is_no_surplus(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,b\n1,2,\n3,4,\n"))
    assert frame.to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    "text", ["a;b\n1;2\n", "a\tb\n1\t2\n", "\n\na,b\n1,2\n", "\ufeffa,b\n1,2\n", 'a,"b"\n"1",2']
)
def test_the_ways_in_which_programs_write_csv_read_alike(tmp_path: Path, text: str) -> None:
    assert read_table(written(tmp_path, text)).to_dict("list") == {"a": ["1"], "b": ["2"]}


def test_utf16_is_recognised_by_its_mark(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "温度\t電流\n1\t2\n", "utf-16"))
    assert list(frame.columns) == ["温度", "電流"]


def test_shift_jis_is_read_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        frame = read_table(written(tmp_path, "温度,電流\n1,2\n", "cp932"))
    assert list(frame.columns) == ["温度", "電流"]
    assert "cp932" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n\n\n", "no rows"),
        ("1.5,2\n3,4\n", "begins with numbers (1.5, 2)"),
        (
            "2026-01-05T00:00:00Z,1.5,\n2026-01-05T00:00:30Z,2,3\n",
            "begins with numbers (2026-01-05",
        ),
        ("a,b,a\n1,2,3\n", "two columns named 'a'"),
        ('a,b\n1,2\n"3,4\n5,6\n', "cannot be read as CSV"),
    ],
)
def test_a_csv_file_that_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as refused:
        read_table(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_text_of_no_known_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n\x81\x20,1\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_table(path)


def test_missing_and_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv' does not exist"):
        read_table(tmp_path / "absent.csv")
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"'\.xlsx'; a \.csv or \.parquet file is needed"):
        read_table(tmp_path / "rows.xlsx")
    (tmp_path / "rows.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_table(tmp_path / "rows.parquet")


def test_parquet_keeps_its_types_and_an_index_of_times(tmp_path: Path) -> None:
    stamps = pd.date_range("2026-01-05", periods=2, freq="30s", tz="UTC", name="timestamp")
    pd.DataFrame({"a": [1.5, 2.5]}, index=stamps).to_parquet(tmp_path / "rows.parquet")
    frame = read_table(tmp_path / "rows.parquet")
    assert list(frame.columns) == ["timestamp", "a"]
    assert frame["a"].tolist() == [1.5, 2.5]


def test_a_parquet_index_of_row_numbers_is_no_column(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.5, 2.5]}, index=[3, 9]).to_parquet(tmp_path / "rows.parquet")
    assert list(read_table(tmp_path / "rows.parquet").columns) == ["a"]


def test_every_named_column_but_time_label_and_fault_is_a_sensor(tmp_path: Path) -> None:
    frame = read_table(
        written(
            tmp_path, ",timestamp,b,a,label,fault\n0,2026-01-05,1,2,0,\n1,2026-01-06,x,4,1,wear"
        )
    )
    contract = infer_contract(frame, "timestamp", window_length=4)
    assert contract.sensors == (Sensor("b"), Sensor("a"))
    assert contract.window_length == 4


def test_a_column_of_text_is_no_sensor_and_is_named() -> None:
    frame = pd.DataFrame({"a": ["1", "2", "3"], "shift": ["early", "late", "3"]})
    with pytest.raises(DataError, match=r"column 'shift' is mostly not numbers \(row 1 is 'early'"):
        infer_contract(frame, None)


def test_an_empty_column_is_no_sensor_and_is_named() -> None:
    with pytest.raises(DataError, match="column 'b' has no value"):
        infer_contract(pd.DataFrame({"a": ["1"], "b": [" "]}), None)


def test_a_table_of_times_alone_has_no_contract() -> None:
    with pytest.raises(DataError, match="columns: timestamp"):
        infer_contract(pd.DataFrame({"timestamp": ["2026-01-05"]}), "timestamp")


def test_the_configured_sensors_decide_order_units_and_limits() -> None:
    listed: list[dict[str, object]] = [
        {"name": "b", "unit": "bar", "low": 0, "high": 9.5},
        {"name": 7, "unit": None},
    ]
    contract = data_contract(pd.DataFrame({"a": [1.0]}), listed, None, window_length=2)
    assert contract.sensors == (Sensor("b", "bar", 0, 9.5), Sensor("7"))
    assert contract.window_length == 2


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ({"unit": "bar"}, "a name is needed"),
        ({"name": "a", "units": "bar"}, "'units'; name, unit, low and high are allowed"),
        ({"name": "time"}, "both a sensor and the timestamp"),
        ({"name": "a", "low": "x"}, "low is 'x'"),
    ],
)
def test_a_sensor_list_that_cannot_be_used_is_refused(listed: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        data_contract(pd.DataFrame(), [listed], "time")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1,25", "1,5"], "'1,25'); write numbers with a decimal point"),
        (["OFF", "ON"], "'OFF'); write 1 and 0 for what is on and off"),
        ([True, False], "'True'); write 1 and 0 for what is on and off"),
    ],
)
def test_what_stands_in_the_place_of_numbers_is_told(cells: list[object], said: str) -> None:
    with pytest.raises(DataError) as refused:
        infer_contract(pd.DataFrame({"a": cells}), None)
    assert said in str(refused.value)


def test_a_folder_is_not_said_to_be_absent(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(DataError, match=r"rows\.csv' is no file"):
        read_table(tmp_path / "rows.csv")


@pytest.mark.parametrize("cells", [["1767225600", "1767225630"], [0, 30]])
def test_counted_seconds_are_times_in_the_column_timestamp_alone(cells: list[object]) -> None:
    frame = pd.DataFrame({"counter": cells, "timestamp": cells, "at": ["2026-01-05", "2026-01-06"]})
    assert find_timestamp(frame) == "timestamp"
    assert find_timestamp(frame[["counter"]]) is None
    assert find_timestamp(frame.assign(timestamp=["early", "late"])) == "at"


def test_the_column_of_times_is_found_by_what_it_holds() -> None:
    frame = pd.DataFrame({"n": ["1", "2"], "note": ["a", "b"], "at": ["2026/01/05 10:00", "x"]})
    frame["at2"] = ["2026-01-05", "2026-01-06"]
    assert find_timestamp(frame) == "at2"
    assert find_timestamp(frame[["n", "note"]]) is None
