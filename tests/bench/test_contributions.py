from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cases import Case, find_cases
from bench.contributions import ROWS, SHIFTS, Contributions, shifts
from bench.fitted import FittedPeer
from bench.measurement import Skipped
from bench.methods import Method
from bench.peers import ATTRIBUTING, PEERS, Attributing
from kizashi.errors import DataError
from tests.bench.made_cases import make_case
from tests.bench.test_records import method

T2 = "t2_ledoit_wolf"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("data") / "tables" / "case"
    return find_cases(make_case(folder, train_rows=600, constant=True))[0].read()


def measured(case: Case, of: Method) -> pd.DataFrame:
    return pd.DataFrame(Contributions().measure(case, of, 0, lambda: of.fit(case, 0)))


def test_normal_rows_have_one_moving_sensor_shifted_by_its_own_spread(case: Case) -> None:
    windows_BTF, shift = shifts(case, 1, seed=0)
    moved_BTF = shift.apply(windows_BTF, 5) - windows_BTF
    rows = np.arange(len(windows_BTF))
    assert len(rows) == int((~case.label_N).sum()) <= ROWS
    assert (np.count_nonzero(moved_BTF, axis=(1, 2)) == 1).all()
    steps_B = moved_BTF[rows, 0, shift.sensor_B] / case.train_NF.std(axis=0)[shift.sensor_B]
    np.testing.assert_allclose(np.abs(steps_B), 5)
    assert set(np.sign(steps_B)) == {-1, 1}
    assert set(shift.sensor_B) == {1, 2, 3}  # sensor 0 is constant


def test_a_window_is_shifted_throughout_and_each_seed_draws_anew(case: Case) -> None:
    windows_BTF, shift = shifts(case, 3, seed=0)
    moved_BTF = shift.apply(windows_BTF, 3) - windows_BTF
    assert (np.count_nonzero(moved_BTF, axis=(1, 2)) == 3).all()
    assert not np.array_equal(shifts(case, 3, seed=1)[1].sensor_B, shift.sensor_B)


def test_t2_names_a_sensor_that_left_its_relation_and_finds_larger_shifts_more_often(
    case: Case,
) -> None:
    rows = measured(case, method("split=random", peer=T2))
    assert rows["shift"].tolist() == [str(shift) for shift in SHIFTS]
    assert rows["detected"].is_monotonic_increasing and rows["detected"].iloc[-1] > 80
    assert rows["share"].is_monotonic_increasing and rows["share"].iloc[-1] > 0.9
    assert (rows["detected_first"] <= rows[["detected", "first"]].min(axis=1)).all()
    assert (rows["rows"] == int((~case.label_N).sum())).all()


def test_our_detector_is_asked_at_the_rate_of_the_measurement(case: Case) -> None:
    of = method("trainer=fast", "trainer.progress=false", "split=random", alphas=[0.3])
    rows = measured(case, of)
    assert (rows["share"].dropna() >= 0).all() and (rows["detected"] > 0).any()
    fit = of.fit(case, 0)
    assert fit.calibrate(of.thresholds([0.01])[0]).false_alarm_rate == 0.01


def test_parts_of_a_peer_add_up_to_its_score(case: Case) -> None:
    for name in ATTRIBUTING:
        peer = PEERS[name](0)
        peer.fit(case.train_NF)
        assert isinstance(peer, Attributing)
        total_B, score_B = peer.parts(case.test_NF).sum(axis=1), peer.score(case.test_NF)
        squared = name.startswith("t2")
        np.testing.assert_allclose(total_B, score_B if squared else score_B**2, rtol=1e-5)


def test_only_methods_that_name_sensors_are_asked(case: Case) -> None:
    asked = [name for name in PEERS if Contributions().applies(method(peer=name), "series")]
    assert set(asked) == set(ATTRIBUTING)
    fit = method("split=random", peer=T2).fit(case, 0)
    assert isinstance(fit, FittedPeer)


def test_a_case_with_one_moving_sensor_is_skipped(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "tables" / "case", sensors=2, constant=True)
    with pytest.raises(Skipped, match="fewer than two sensors move"):
        shifts(find_cases(folder)[0].read(), 1, seed=0)


def test_shares_are_averaged_over_cases_and_pooled_over_rows() -> None:
    kept = {"suite": "tables", "method": "ours", "seed": "0", "kind": "exchangeable", "failed": ""}
    few = {"rows": 100, "detected": 10, "first": 50, "detected_first": 10, "share": 1.0}
    many = {"rows": 100, "detected": 90, "first": 50, "detected_first": 45, "share": 0.5}
    table = pd.DataFrame(
        [{**kept, "case": "a", "shift": "3", **few}, {**kept, "case": "b", "shift": "3", **many}]
    )
    document = Contributions().summary(table, ["ours"], "the command")
    assert "| ours | 3 | 50.00% | 75.00% | 55.00% | 50.00% |" in document
    assert "| b | 0.500 / – / – |" in document


def test_a_peer_that_names_no_sensor_says_so(case: Case) -> None:
    class Silent:
        def fit(self, values_BV: object) -> None: ...

        def score(self, values_BV: np.ndarray) -> np.ndarray:
            return np.zeros(len(values_BV))

    normal = case.normal_rows(lambda frame, length: _split(frame), 1)
    fit = FittedPeer.fit(Silent, case.train, normal, 1)
    with pytest.raises(DataError, match="names no sensor"):
        fit.contributions(case.test_windows(1))


def _split(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    parts = np.array_split(np.arange(len(frame)), 4)
    names = ("train", "validation", "calibration", "holdout")
    return {name: frame.iloc[part] for name, part in zip(names, parts, strict=True)}
