import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kizashi.data.verdict_file import VerdictFile
from kizashi.errors import ConfigurationError, DataError

FIRST = pa.table({"t, s": ["08:00", "08:01"], "score": [0.1, None]})
SECOND = pa.table({"t, s": ['8"', "a,b\nc"], "score": [1e-9, 2.0]})


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "OUT.CSV"])
def test_tables_are_appended_and_read_back_as_they_were(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "folder" / name
    with VerdictFile(path) as file:
        file.write(FIRST)
        file.write(SECOND)
    if path.suffix == ".parquet":
        assert pq.read_table(path).equals(pa.concat_tables([FIRST, SECOND]))
    else:
        with path.open(encoding="utf-8", newline="") as text:
            rows = list(csv.reader(text))
        assert rows[0] == ["t, s", "score"]
        assert rows[1:3] == [["08:00", "0.1"], ["08:01", ""]]
        assert rows[3:] == [['8"', "1e-9"], ["a,b\nc", "2"]]
    assert [found.name for found in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_an_interrupted_run_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    (tmp_path / name).write_text("of yesterday", encoding="utf-8")

    def interrupted() -> None:
        with VerdictFile(tmp_path / name) as file:
            file.write(FIRST)
            raise error

    with pytest.raises(error):
        interrupted()
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "of yesterday"


def test_nothing_stands_under_the_name_while_the_file_grows(tmp_path: Path) -> None:
    with VerdictFile(tmp_path / "out.csv") as file:
        file.write(FIRST)
        assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.csv or \.parquet"):
        VerdictFile(tmp_path / name)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"file/out\.csv' cannot be written"):
        VerdictFile(tmp_path / "file" / "out.csv").__enter__()
    (tmp_path / "out.csv").mkdir()
    with (
        pytest.raises(DataError, match=r"out\.csv' cannot be written"),
        VerdictFile(tmp_path / "out.csv") as file,
    ):
        file.write(FIRST)
