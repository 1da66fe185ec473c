from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cases import find_cases
from kizashi.data.split import ChronologicalSplit, RandomSplit
from kizashi.errors import DataError
from tests.bench.made_cases import make_case


def test_suites_are_the_first_folder_level_and_cases_are_what_lies_below(tmp_path: Path) -> None:
    for place in ["rig/b", "rig/old/a", "tables/c"]:
        make_case(tmp_path / "data" / place)
    (tmp_path / "data" / "notes").mkdir()
    found = [(case.suite, case.name) for case in find_cases(tmp_path / "data")]
    assert found == [("rig", "b"), ("rig", "old/a"), ("tables", "c")]


def test_a_suite_given_alone_keeps_its_name(tmp_path: Path) -> None:
    make_case(tmp_path / "rig" / "a")
    (suite,) = find_cases(tmp_path / "rig")
    (case,) = find_cases(tmp_path / "rig" / "a")
    assert (suite.suite, suite.name) == (case.suite, case.name) == ("rig", "a")


def test_a_folder_without_cases_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder below .* train\.parquet and test\.parquet"):
        find_cases(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        find_cases(tmp_path / "absent")


def test_a_timestamp_makes_a_case_a_series_and_is_no_sensor(tmp_path: Path) -> None:
    make_case(tmp_path / "s" / "rows")
    make_case(tmp_path / "s" / "time", series=True)
    rows, time = (folder.read() for folder in find_cases(tmp_path))
    assert (rows.kind, time.kind) == ("exchangeable", "series")
    assert rows.contract.names == time.contract.names == tuple(f"sensor {n}" for n in range(4))
    assert time.train_NF.shape == (200, 4) and time.test_NF.shape == (120, 4)


@pytest.mark.parametrize("missing", ["label", "sensor 2"])
def test_a_column_that_the_test_rows_lack_is_named(tmp_path: Path, missing: str) -> None:
    folder = make_case(tmp_path / "s" / "case")
    pd.read_parquet(folder / "test.parquet").drop(columns=missing).to_parquet(
        folder / "test.parquet"
    )
    with pytest.raises(DataError, match=f"test.parquet has no column '{missing}'"):
        find_cases(tmp_path)[0].read()


def test_other_bytes_give_another_digest(tmp_path: Path) -> None:
    make_case(tmp_path / "s" / "a")
    make_case(tmp_path / "s" / "b")
    make_case(tmp_path / "s" / "c", seed=1)
    same, twin, other = (folder.digest() for folder in find_cases(tmp_path))
    assert same == twin != other


def test_every_exchangeable_training_row_has_one_purpose_and_each_seed_draws_anew(
    tmp_path: Path,
) -> None:
    make_case(tmp_path / "s" / "case")
    case = find_cases(tmp_path)[0].read()
    parts = case.normal_rows(RandomSplit(seed=0), 1)
    together = np.concatenate(
        [part.values_NF for part in (parts.train, parts.validation, parts.calibration)]
    )
    assert [len(parts.train), len(parts.validation), len(parts.calibration)] == [120, 20, 60]
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(case.train_NF, axis=0))
    other = case.normal_rows(RandomSplit(seed=1), 1)
    assert not np.array_equal(parts.calibration.values_NF, other.calibration.values_NF)


def test_a_series_is_calibrated_on_its_last_rows_without_a_hole(tmp_path: Path) -> None:
    make_case(tmp_path / "s" / "case", series=True)
    case = find_cases(tmp_path)[0].read()
    parts = case.normal_rows(ChronologicalSplit(), 5)
    rows = len(parts.calibration)
    np.testing.assert_array_equal(parts.calibration.values_NF, case.train_NF[-rows:])
    np.testing.assert_array_equal(parts.train.values_NF, case.train_NF[: len(parts.train)])
    gaps = len(case.train_NF) - rows - len(parts.train) - len(parts.validation)
    assert gaps == 2 * 5  # before validation and before calibration


@pytest.mark.parametrize("series", [True, False])
def test_without_a_share_for_calibration_every_row_is_for_training(
    tmp_path: Path, series: bool
) -> None:
    make_case(tmp_path / "s" / "case", series=series)
    case = find_cases(tmp_path)[0].read()
    kind = ChronologicalSplit if series else RandomSplit
    parts = case.normal_rows(kind(train=0.9, validation=0, calibration=0, holdout=0.1), 1)
    np.testing.assert_array_equal(parts.train.values_NF, case.train_NF)
    assert len(parts.validation) == len(parts.calibration) == 0
    assert parts.in_time is series


def test_each_test_row_ends_one_window_that_may_begin_in_training(tmp_path: Path) -> None:
    make_case(tmp_path / "s" / "case", series=True)
    case = find_cases(tmp_path)[0].read()
    windows_BTF = case.test_windows(3)
    np.testing.assert_array_equal(windows_BTF[:, -1], case.test_NF)
    np.testing.assert_array_equal(windows_BTF[0, :2], case.train_NF[-2:])


def test_no_training_window_of_a_series_reaches_over_a_pause(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "s" / "case", series=True)
    frame = pd.read_parquet(folder / "train.parquet")
    night = pd.Timedelta("12h") * (np.arange(len(frame)) >= 30).astype(int)
    frame.assign(timestamp=frame["timestamp"] + night).to_parquet(folder / "train.parquet")
    case = find_cases(tmp_path)[0].read()
    parts = case.normal_rows(ChronologicalSplit(), 5)
    assert case.train.lengths.tolist() == [30, 170]
    assert parts.train.lengths.tolist() == [30, len(parts.train) - 30]
    assert len(case.test_windows(5)) == len(case.test_NF)
