from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cases import find_cases
from bench.cycles import CASES, FAULT_ROWS, faults, write_cases
from kizashi.errors import ConfigurationError

TRAIN_ROWS, TEST_ROWS = 300, 1200


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cycles")
    write_cases(folder, TRAIN_ROWS, TEST_ROWS)
    return folder


def test_the_same_call_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_cases(tmp_path, TRAIN_ROWS, TEST_ROWS)
    files = sorted(path.relative_to(written) for path in written.rglob("*.parquet"))
    assert len(files) == 2 * len(CASES)
    for file in files:
        assert (written / file).read_bytes() == (tmp_path / file).read_bytes()


def test_the_bench_finds_every_case_as_a_series(written: Path) -> None:
    folders = find_cases(written)
    assert [(one.suite, one.name) for one in folders] == [("windowed", name) for name in CASES]
    for folder in folders:
        case = folder.read()
        assert case.kind == "series"
        assert case.train_NF.shape == (TRAIN_ROWS, 3) and case.test_NF.shape == (TEST_ROWS, 3)


def test_training_rows_have_no_label_and_test_rows_follow_them(written: Path) -> None:
    for name in CASES:
        train, test = (
            pd.read_parquet(written / "windowed" / name / file)
            for file in ("train.parquet", "test.parquet")
        )
        assert list(test.columns) == [*train.columns, "label"]
        assert train["timestamp"].iloc[-1] < test["timestamp"].iloc[0]
        assert set(test["label"]) == {0, 1}


@pytest.mark.parametrize("kinds", [3, 4])
def test_every_kind_of_fault_has_its_turn_and_lasts_as_long(kinds: int) -> None:
    fault_N = faults(2000, kinds, np.random.default_rng(0))
    changes = np.flatnonzero(np.diff(fault_N)) + 1
    first, last = changes[::2], changes[1::2]
    assert set(last - first) == {FAULT_ROWS}
    turns = [1 + place % kinds for place in range(len(first))]
    assert fault_N[first].tolist() == turns and len(turns) > kinds


@pytest.mark.parametrize("name", CASES)
def test_a_fault_changes_the_rows_it_lasts_and_none_before_it(name: str) -> None:
    simulate, kinds = CASES[name]
    for kind in range(1, kinds + 1):
        fault_N = np.zeros(400, dtype=np.int64)
        fault_N[200:248] = kind
        sound_NF, faulty_NF = (
            simulate(one_N, np.random.default_rng(1)) for one_N in (0 * fault_N, fault_N)
        )
        np.testing.assert_array_equal(faulty_NF[:200], sound_NF[:200])
        assert not np.array_equal(faulty_NF[200:248], sound_NF[200:248])


@pytest.mark.parametrize("name", ["cycle_fixed", "cycle_wandering"])
def test_swapped_rows_hold_the_very_values_of_normal_ones(name: str) -> None:
    fault_N = np.zeros(400, dtype=np.int64)
    fault_N[200:248] = 4
    sound_NF, faulty_NF = (
        CASES[name][0](one_N, np.random.default_rng(1)) for one_N in (0 * fault_N, fault_N)
    )
    np.testing.assert_array_equal(faulty_NF[200::2][:24], sound_NF[201::2][:24])
    np.testing.assert_array_equal(faulty_NF[248:], sound_NF[248:])


@pytest.mark.parametrize(("train", "test"), [(198, 1200), (300, 0)])
def test_too_few_rows_are_named(tmp_path: Path, train: int, test: int) -> None:
    with pytest.raises(ConfigurationError, match=r"_rows is \d+; more than 198 are"):
        write_cases(tmp_path, train, test)
