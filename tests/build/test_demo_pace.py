"""Who starts the demo sees within two minutes what it is for: a fault, and the alarm of it."""

from itertools import islice

import numpy as np
import pytest

from deploy.demo import RULES, SECONDS_PER_ROW
from kizashi.data.line import LINE, Machine
from kizashi.data.simulate import SENSORS, simulate_press_line
from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.detector import Detector
from kizashi.runtime.scaling import CompressedScaler
from kizashi.runtime.scoring import JointScore, NearestNormal, ReconstructionError
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows, Recipe, fit_bundle
from kizashi.training.trainer import NetworkTrainer
from serving.alarms.rules import SourceRules, read_rules

PATIENCE = 120
"""Seconds from the first row, which is sent when the service is ready."""
SOON = 30
"""As the README promises: half a minute."""
LIMITS = ((0.0, 20.0), (0.0, 10.0), (0.0, 20.0))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A detector of the sample, as `make demo` trains one, on fewer rows and for less long."""
    rows_NF = simulate_press_line().normal[list(SENSORS)].to_numpy(dtype=np.float64)[::10]
    recipe = Recipe(
        network=DenseAutoencoder,
        scaler=CompressedScaler(),
        scorer=JointScore([ReconstructionError(), NearestNormal(500)]),
        threshold=ConformalThreshold(0.001),
        trainer=NetworkTrainer("cpu", steps=400, batch_size=128, progress=False),
        seed=0,
    )
    sensors = tuple(Sensor(name, "", *limits) for name, limits in zip(SENSORS, LIMITS, strict=True))
    contract = DataContract(sensors, missing="impute")
    folder = tmp_path_factory.mktemp("sample") / "bundle"
    every = Rows(rows_NF)
    rows = NormalRows(every[::2], every[:0], every[1::2])
    return fit_bundle(recipe, contract, rows, folder)


def _alarmed_after(detector: Detector, machine: Machine, rules: SourceRules) -> float | None:
    """Seconds from a machine's first row to its first anomaly alarm, None if none comes in time."""
    rows = [row for row in islice(machine.rows(), round(PATIENCE / SECONDS_PER_ROW)) if row]
    rows_NF = np.array([list(row.values()) for row in rows], dtype=np.float64)
    wrong_N = detector.score(detector.windows(rows_NF)) > detector.threshold.value
    rule = rules.rule("anomaly")
    for index in range(len(wrong_N)):
        if index * SECONDS_PER_ROW < rules.warm_up.seconds:
            continue
        if wrong_N[max(0, index + 1 - rule.of) : index + 1].sum() >= rule.begin:
            return index * SECONDS_PER_ROW
    return None


def test_a_newcomer_sees_a_fault_and_its_alarm_within_two_minutes(bundle: Bundle) -> None:
    rules = read_rules(RULES)
    after = {one.name: _alarmed_after(bundle.detector, one, rules.of(one.name)) for one in LINE}
    alarmed = {name: seconds for name, seconds in after.items() if seconds is not None}
    assert min(alarmed.values()) <= SOON, after
    assert len(alarmed) >= 3, after
    assert "press-01" not in alarmed, "one machine stays healthy, to be seen beside the others"
