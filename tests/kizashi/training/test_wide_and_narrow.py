"""The default detector on tables of every shape and kind: it trains, calibrates, finds an obvious
fault and leaves other normal rows alone."""

import json
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hydra import compose, initialize_config_dir

from kizashi.evaluation.metrics import false_alarm_band
from kizashi.runtime.bundle import Bundle, load_bundle
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.thresholds import CalibrationScores, QuantileThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows, Recipe, fit_bundle
from pipelines.command import CONF
from pipelines.recipe import recipe

FloatArray = npt.NDArray[np.float64]
Simulate = Callable[[int, int], FloatArray]
"""Normal rows, shape (N, F), from their number and a seed."""


def default(*overrides: str, alpha: float = 0.02, steps: int = 200) -> Recipe:
    """The recipe of the default configuration, trained for fewer steps."""
    few = [f"trainer.steps={steps}", "trainer.progress=false", "trainer.accelerator=cpu"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return recipe(compose("config", [*few, f"threshold.alpha={alpha}", *overrides]))


def fitted(made: Recipe, rows: NormalRows, folder: Path) -> Bundle:
    sensors = tuple(
        Sensor(f"s{number}", "V", None, None) for number in range(rows.train.values_NF.shape[1])
    )
    return fit_bundle(made, DataContract(sensors), rows, folder)


def split(rows_NF: FloatArray, calibration: float = 0.4) -> NormalRows:
    """No row for validation, which the default does not need."""
    first = round((1 - calibration) * len(rows_NF))
    whole = Rows(rows_NF)
    return NormalRows(whole[:first], whole[:0], whole[first:])


def correlated(sensors: int, noise: float = 0.1) -> Simulate:
    """Sensors that follow a few loads, in units and at levels of their own."""

    def rows(count: int, seed: int) -> FloatArray:
        machine, day = np.random.default_rng(0), np.random.default_rng(seed + 1)
        loads = min(3, sensors)
        mixing_LF = machine.normal(size=(loads, sensors))
        unit_F = 10.0 ** machine.uniform(-3, 3, sensors)
        load_NL = day.uniform(-1, 1, (count, loads))
        drawn_NF = load_NL @ mixing_LF + noise * day.normal(size=(count, sensors))
        rows_NF: FloatArray = unit_F * (drawn_NF + machine.uniform(-5, 5, sensors))
        return rows_NF

    return rows


def beyond(rows_NF: FloatArray, deviations: float, sensors: Sequence[int] = (0,)) -> FloatArray:
    """The rows with these sensors this many of their own deviations away."""
    off_NF = rows_NF.copy()
    off_NF[:, list(sensors)] += deviations * rows_NF[:, list(sensors)].std(axis=0)
    return off_NF


def alarms(bundle: Bundle, rows_NF: FloatArray) -> float:
    return float(bundle.detector.judge(rows_NF[:, None]).anomaly_B.mean())


def as_promised(bundle: Bundle, new_NF: FloatArray) -> bool:
    """Whether there are no more false alarms than the numbers of rows lead to expect, 99.9 %."""
    threshold = bundle.detector.threshold
    assert threshold.false_alarm_rate is not None and threshold.calibration_rows is not None
    rows, alpha = threshold.calibration_rows, threshold.false_alarm_rate
    return alarms(bundle, new_NF) <= false_alarm_band(rows, len(new_NF), alpha, 0.999)[1]


def named(bundle: Bundle, faulty_NF: FloatArray, sensors: Collection[int]) -> float:
    """Of how many rows one of these sensors is blamed most."""
    contribution_BF = bundle.detector.judge(faulty_NF[:, None]).contribution_BF
    return float(np.isin(contribution_BF.argmax(axis=1), list(sensors)).mean())


@pytest.mark.parametrize(
    ("sensors", "count", "steps"),
    [(1, 1000, 200), (3, 1000, 200), (187, 1000, 100), (1555, 400, 60)],
)
def test_a_table_of_any_width_is_learned(
    tmp_path: Path, sensors: int, count: int, steps: int
) -> None:
    rows = correlated(sensors)
    bundle = fitted(default(steps=steps), split(rows(count, 0)), tmp_path)
    new_NF = rows(500, 1)
    assert as_promised(bundle, new_NF)
    off = range(max(1, sensors // 10))
    faulty_NF = beyond(new_NF[:50], 15, off)
    assert alarms(bundle, faulty_NF) == 1
    assert named(bundle, faulty_NF, off) == 1
    bundle.check_example()


def test_thirty_three_training_rows_are_enough_for_a_detector(tmp_path: Path) -> None:
    rows = correlated(5)
    parts = NormalRows(Rows(rows(33, 0)), Rows(rows(0, 0)), Rows(rows(60, 1)))
    bundle = fitted(default(alpha=0.1), parts, tmp_path)
    assert as_promised(bundle, rows(500, 2))
    faulty_NF = beyond(rows(50, 3), 15)
    assert alarms(bundle, faulty_NF) == 1
    assert named(bundle, faulty_NF, [0]) > 0.9


def test_thirty_three_rows_in_all_train_and_calibrate_too(tmp_path: Path) -> None:
    rows = correlated(5)
    parts = NormalRows(Rows(rows(33, 0)), Rows(rows(0, 0)), Rows(rows(0, 0)))
    bundle = fitted(default(alpha=0.1, steps=100), parts, tmp_path)
    assert bundle.detector.threshold.calibration_rows == 33
    assert as_promised(bundle, rows(500, 2))
    assert alarms(bundle, beyond(rows(50, 3), 15)) == 1


def with_constant(count: int, seed: int) -> FloatArray:
    rows_NF = correlated(3)(count, seed)
    rows_NF[:, 1] = 7.5
    return rows_NF


def all_constant(count: int, seed: int) -> FloatArray:
    return np.tile([0.0, 1.0, -4e5], (count, 1))


def binary(count: int, seed: int) -> FloatArray:
    """Two switches that go together, one of its own, and their sum as a load."""
    rng = np.random.default_rng(seed)
    together, own = rng.integers(0, 2, count), rng.integers(0, 2, count)
    load = 5.0 * together + own + rng.normal(0, 0.2, count)
    rows_NF: FloatArray = np.column_stack([together, together, own, load]).astype(np.float64)
    return rows_NF


def heavy_tailed(count: int, seed: int) -> FloatArray:
    """Student's t with 2 degrees of freedom, and now and then a million."""
    rng = np.random.default_rng(seed)
    rows_NF: FloatArray = rng.standard_t(2, (count, 3))
    rows_NF[rng.random(count) < 0.005, 1] = 1e6
    return rows_NF


def drifting(count: int, seed: int) -> FloatArray:
    """Three sensors on a level that wanders slowly about its usual one."""
    rng = np.random.default_rng(seed)
    level = np.empty(count)
    last = rng.normal()
    for place, step in enumerate(rng.normal(size=count)):
        level[place] = last = 0.99 * last + np.sqrt(1 - 0.99**2) * step
    rows_NF: FloatArray = level[:, None] * [1.0, 2.0, -1.0] + rng.normal(0, 0.2, (count, 3))
    return rows_NF


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        pytest.param(with_constant, {1: 9.0}, id="a constant sensor moves"),
        pytest.param(all_constant, {2: -3e5}, id="one of constant sensors moves"),
        pytest.param(binary, {0: 1.0, 1: 0.0}, id="switches part"),
        pytest.param(binary, {2: 3.0}, id="a switch has a third state"),
        pytest.param(heavy_tailed, {0: 5e8}, id="beyond a heavy tail"),
        pytest.param(drifting, {0: 3.0, 2: 3.0}, id="sensors that drift against each other agree"),
    ],
)
def test_sensors_of_any_kind_are_learned(
    tmp_path: Path, rows: Simulate, fault: dict[int, float]
) -> None:
    bundle = fitted(default(), split(rows(2000, 0)), tmp_path)
    new_NF = rows(1000, 1)
    if rows is drifting:  # rows that depend on one another have no such law
        assert alarms(bundle, new_NF) < 0.08
    else:
        assert as_promised(bundle, new_NF)
    faulty_NF = new_NF[:100].copy()
    for sensor, value in fault.items():
        faulty_NF[:, sensor] = value
    assert alarms(bundle, faulty_NF) > 0.95
    if len(fault) == 1:  # of several that contradict each other any may be the one
        assert named(bundle, faulty_NF, fault) > 0.95


@pytest.mark.parametrize("rows", [all_constant, binary], ids=["constant", "binary"])
def test_rows_that_repeat_normal_ones_are_judged_alike_alone_and_among_others(
    tmp_path: Path, rows: Simulate
) -> None:
    """Many normal rows share the score that is the threshold: rounding must not decide."""
    rows_NF = np.round(rows(500, 0))
    fit = fitted(default(), split(rows_NF), tmp_path).detector
    for quantile in np.arange(0.1, 1.0, 0.1):
        threshold = QuantileThreshold(quantile).fit(CalibrationScores(fit.score(rows_NF[:, None])))
        detector = replace(fit, threshold=threshold)
        alone_B = np.concatenate([detector.judge(row_F[None, None]).anomaly_B for row_F in rows_NF])
        one_by_one = np.concatenate([detector.score(row_F[None, None]) for row_F in rows_NF])
        together_B = detector.judge(rows_NF[:, None]).anomaly_B
        assert np.array_equal(together_B, alone_B)
        assert np.array_equal(detector.decide(rows_NF[:, None], one_by_one), alone_B)
        assert together_B.mean() <= 1 - quantile + 1e-9


def in_step(count: int, seed: int) -> FloatArray:
    """Four sensors that follow one load, with a tenth of noise of their own."""
    rng = np.random.default_rng(seed)
    drawn_NF = rng.uniform(-1, 1, (count, 1)) + rng.normal(0, 0.1, (count, 4))
    rows_NF: FloatArray = drawn_NF * [1.0, 2.0, 0.5, 3.0]
    return rows_NF


def test_correlated_sensors_that_leave_their_range_together_are_an_anomaly_without_limits(
    tmp_path: Path,
) -> None:
    """A plain autoencoder rebuilds such rows well, because their sensors still agree."""
    rows = split(in_step(1500, 0))
    plain = default("model=dense", "scorer=reconstruction_error", "scaler=standard", steps=1500)
    by_default = fitted(default(), rows, tmp_path / "default")
    by_plain = fitted(plain, rows, tmp_path / "plain")
    train_NF = rows.train.values_NF
    for deviations in (3, 4, 5, 7, 10):
        together_F = train_NF.mean(axis=0) + deviations * train_NF.std(axis=0)
        together_NF = together_F + 0.02 * in_step(40, 1)
        assert alarms(by_default, together_NF) == 1
        if deviations <= 4:
            assert alarms(by_plain, together_NF) < 0.5


def test_the_default_recipe_gives_the_same_bundle_for_the_same_data_and_seed(
    tmp_path: Path,
) -> None:
    rows = split(correlated(3)(500, 0))
    first = fitted(default(steps=50), rows, tmp_path / "first")
    again = fitted(default(steps=50), rows, tmp_path / "again")
    other = fitted(default("seed=1", steps=50), rows, tmp_path / "other")
    assert first.hash == again.hash != other.hash


MANY = """
import json, resource, sys
from pathlib import Path
import numpy as np
from tests.kizashi.training.test_wide_and_narrow import correlated, default, fitted, split

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
recipe, rows_NF = default("trainer=fast", steps=50), correlated(3)(int(sys.argv[1]), 0)
before = peak()
fitted(recipe, split(rows_NF, 0.01), Path(sys.argv[2]))
print(json.dumps(peak() - before))
"""


def test_ten_million_rows_give_a_detector_that_is_right_in_memory_of_a_few_times_their_size(
    tmp_path: Path,
) -> None:
    rows, folder = 10_000_000, tmp_path / "bundle"
    ended = subprocess.run(
        [sys.executable, "-c", MANY, str(rows), str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    grown_gb, data_gb = json.loads(ended.stdout.splitlines()[-1]), rows * 3 * 8 / 2**30
    assert grown_gb < 12 * data_gb
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2**20
    bundle, new_NF = load_bundle(folder), correlated(3)(20_000, 1)
    assert bundle.detector.threshold.calibration_rows == rows // 100
    low, high = false_alarm_band(rows // 100, len(new_NF), 0.02, 0.999)
    assert low <= alarms(bundle, new_NF) <= high
    score, anomaly = bundle.detector.verdict(new_NF.mean(axis=0)[None])
    assert score < 2 and not anomaly
    faulty_NF = beyond(new_NF[:50], 15)
    assert alarms(bundle, faulty_NF) == 1
    assert named(bundle, faulty_NF, [0]) == 1
