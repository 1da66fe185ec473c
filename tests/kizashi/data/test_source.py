from pathlib import Path

import pytest

from kizashi.data.source import DataSource
from kizashi.errors import DataError


def test_a_timestamp_that_is_no_column_is_named_before_another_column_is_blamed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("time,a\n2026-01-05,1\n2026-01-06,2\n")
    source = DataSource(str(path), timestamp="at")
    with pytest.raises(
        DataError, match=r"data\.timestamp is 'at', and .* has the columns time, a; "
    ):
        source.contract(source.normal(), window_length=1)


def test_seconds_since_1970_are_the_time_and_no_sensor(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("timestamp,a\n1767225600,1\n1767225630,2\n")
    source = DataSource(str(path))
    assert source.contract(source.normal(), window_length=1).names == ("a",)
