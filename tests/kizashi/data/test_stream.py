import codecs
import logging
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kizashi.data.cells import numbers
from kizashi.data.load import SURPLUS, read_table
from kizashi.data.stream import CsvStream, open_table
from kizashi.errors import DataError

AWKWARD = {
    "plain": "a,b\n1,2\n3,4\n5,6\n",
    "bad cells": "a,b\n1,n/a\n,NA\n True ,inf\n1e3,-2.5\n0x10,1_000\n",
    "semicolons and decimal commas": "a;b\n1,5;2\n3;4,5\n",
    "blank lines between and after": "\n\na,b\n1,2\n\n3,4\n,\n \n\n\n",
    "rows too long and too short": "a,b\n1\n1,2,3\n4,5,6,7\n8,9\n",
    "a comma after each row": "a,b\n1,2,\n3,4,\n",
    "quotes, line breaks and Windows lines": '"a","b"\r\n"1","x\r\ny"\r\n"2,5","""q"""\r\n',
    "no line break at the end": "a,b\n1,2\n3,4",
    "many digits": "a,b\n0.1234567890123456789,12345678901234567890123\n1.7976931348623157e308,1\n",
}


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "rows.csv"
    path.write_bytes(text.encode(encoding))
    return path


def whole(path: Path, rows: int, columns: list[str] | None = None) -> pd.DataFrame:
    stream = open_table(path)
    pieces = list(stream.pieces(columns or stream.columns, rows))
    assert all(len(piece) <= rows for piece in pieces)
    return pd.concat([piece.astype(object) for piece in pieces], ignore_index=True)


@pytest.mark.parametrize("rows", [1, 2, 1000])
@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
def test_pieces_of_a_csv_file_hold_the_rows_that_the_whole_table_has(
    tmp_path: Path, text: str, rows: int
) -> None:
    path = written(tmp_path, text)
    table, pieces = read_table(path), whole(path, rows)
    assert len(pieces) == len(table)
    for name in ("a", "b"):
        np.testing.assert_array_equal(numbers(pieces[name]), numbers(table[name]))
        bad = numbers(table[name]).isna()
        assert pieces[name][bad].astype(str).tolist() == table[name][bad].tolist()
    surplus = table[SURPLUS].tolist() if SURPLUS in table else [""] * len(table)
    assert pieces[SURPLUS].tolist() == surplus


def test_a_column_of_numbers_is_read_as_numbers_and_one_bad_cell_keeps_its_text(
    tmp_path: Path,
) -> None:
    stream = open_table(written(tmp_path, "a,b\n1,2\n3,x\n"))
    (piece,) = stream.pieces(["a", "b"])
    assert piece["a"].dtype == np.int64
    assert piece["b"].tolist() == ["2", "x"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp932"])
def test_every_encoding_that_a_table_may_have_streams_alike(
    tmp_path: Path, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = "時刻\t温度\n朝\t1.5\n昼\t欠測\n\n\n"
    path = written(tmp_path, text, encoding)
    if encoding == "utf-16-be":
        path.write_bytes(codecs.BOM_UTF16_BE + path.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert whole(path, 1, ["時刻", "温度"])["温度"].astype(str).tolist() == ["1.5", "欠測"]
    assert ("cp932" in caplog.text) == (encoding == "cp932")


def test_a_wrong_byte_at_the_end_is_found_before_the_first_piece(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("温度\n".encode() + b"1\n" * 50_000 + b"\x81\x20\n")
    with pytest.raises(DataError, match="neither UTF-8 nor Shift JIS"):
        open_table(path)


def test_the_default_piece_is_bounded_by_its_cells_not_its_rows(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(2000)]
    text = ",".join(names) + "\n" + (",".join(["1"] * 2000) + "\n") * 600
    stream = open_table(written(tmp_path, text))
    sizes = [piece.size for piece in stream.pieces(names)]
    assert len(sizes) == 3
    assert max(sizes) < 2**20


def test_the_position_rises_to_the_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n" + "1,2\n" * 400_000)
    stream = open_table(path)
    positions = [stream.position for _ in stream.pieces(["a"], 50_000)]
    assert positions == sorted(positions)
    assert positions[0] < stream.size / 2
    assert stream.position == stream.size == path.stat().st_size


def test_only_the_columns_asked_for_are_read_in_either_format(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c\n1,2,3\n")
    assert set(whole(path, 10, ["c", "a"]).columns) == {"a", "c", SURPLUS}
    pd.DataFrame({"a": [1], "b": [2], "c": [3]}).to_parquet(tmp_path / "rows.parquet")
    assert list(whole(tmp_path / "rows.parquet", 10, ["c", "a"]).columns) == ["c", "a"]


def test_the_head_holds_every_column(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n" + "1,x\n" * 1500)
    assert open_table(path).head().shape == (1000, 2)
    read_table(path).to_parquet(tmp_path / "rows.parquet")
    assert open_table(tmp_path / "rows.parquet").head().shape == (1000, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n\n,\n", "no rows"),
        ("1.5,2\n3,4\n", "begins with numbers"),
        ("a,b,a\n1,2,3\n", "two columns named 'a'"),
        ('a,b\n1,2\n"3,4\n5,6\n', "cannot be read as CSV"),
    ],
)
def test_a_csv_file_that_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as refused:
        list(open_table(path).pieces(["a", "b"]))
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_missing_foreign_broken_and_empty_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv' does not exist"):
        open_table(tmp_path / "absent.csv")
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"'\.xlsx'; a \.csv or \.parquet file is needed"):
        open_table(tmp_path / "rows.xlsx")
    (tmp_path / "rows.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"rows\.parquet' cannot be read as Parquet"):
        open_table(tmp_path / "rows.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.float64())}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"none\.parquet' has no rows"):
        list(open_table(tmp_path / "none.parquet").pieces(["a"]))


def test_a_parquet_file_damaged_inside_is_refused_when_reading_comes_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": np.arange(10_000.0)}), path, compression="zstd")
    damaged = bytearray(path.read_bytes())
    damaged[10:2000] = bytes(1990)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(open_table(path).pieces(["a"]))


def test_parquet_pieces_cross_row_groups_and_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": np.arange(1000)}), path, row_group_size=300)
    assert whole(path, 128)["a"].tolist() == list(range(1000))


def test_every_kind_of_parquet_number_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {
        "whole": pa.array([1, None, 3]),
        "half": pa.array([1, None, 3], pa.float16()),
        "single": pa.array([1, float("nan"), 3], pa.float32()),
        "decimal": pa.array([Decimal(1), None, Decimal(3)]),
        "text": pa.array(["1", "x", "3"]),
        "coded": pa.array(["1", "x", "3"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns | {"flag": [True, False, True]}), path)
    (piece,) = open_table(path).pieces([*columns, "flag"])
    for name in columns:
        np.testing.assert_array_equal(numbers(piece[name]), [1, np.nan, 3])
    assert numbers(piece["flag"]).isna().all()


def test_a_named_index_that_pandas_stored_is_a_column(tmp_path: Path) -> None:
    stamps = pd.date_range("2026-01-05", periods=2, freq="30s", tz="UTC", name="timestamp")
    pd.DataFrame({"a": [1.5, 2.5]}, index=stamps).to_parquet(tmp_path / "rows.parquet")
    stream = open_table(tmp_path / "rows.parquet")
    assert "timestamp" in stream.columns
    assert next(stream.pieces(["timestamp", "a"]))["a"].tolist() == [1.5, 2.5]


def test_a_csv_suffix_in_capitals_is_csv(tmp_path: Path) -> None:
    path = tmp_path / "ROWS.CSV"
    path.write_text("a\n1\n", encoding="utf-8")
    assert isinstance(open_table(path), CsvStream)
