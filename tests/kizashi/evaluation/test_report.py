import json
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.data.labelled import LabelledRows
from kizashi.evaluation.comparison import compare
from kizashi.evaluation.report import evaluate, numbers
from kizashi.evaluation.sensor_limits import SensorLimits
from kizashi.runtime.detector import Detector
from kizashi.runtime.thresholds import (
    ConformalThreshold,
    MadThreshold,
    QuantileThreshold,
    Threshold,
)
from kizashi.runtime.windows import Rows
from tests.bundles import ANOMALOUS_ROW, press_line_bundle, press_line_rows

FloatArray = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("press-line")).detector


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("windowed"), window_length=4).detector


def labelled_rows(*blocks: tuple[int, bool, str, list[float] | None]) -> LabelledRows:
    """Blocks of (rows, label, fault, the row they all are; None for normal rows)."""
    rows, labels, faults = [], [], []
    for count, label, fault, row in blocks:
        rows.append(press_line_rows(count, seed=8) if row is None else np.tile(row, (count, 1)))
        labels += [label] * count
        faults += [fault] * count
    return LabelledRows(Rows(np.concatenate(rows)), np.array(labels), np.array(faults, dtype=str))


def test_false_alarms_on_holdout_stand_beside_what_was_asked_for(detector: Detector) -> None:
    holdout_NF = press_line_rows(1000, seed=4)
    holdout_NF[:5] = ANOMALOUS_ROW
    measured = evaluate(detector, Rows(holdout_NF))["holdout"]
    alarms = int(detector.judge(detector.windows(holdout_NF)).anomaly_B.sum())
    assert measured["false_alarms"] == alarms >= 5
    assert measured["false_alarm_rate"] == alarms / 1000
    assert measured["rows"] == 1000
    assert measured["calibration_rows"] == 4000
    assert measured["threshold"] == detector.threshold.value
    assert measured["false_alarm_rate_asked"] == 0.01
    assert measured["band_low"] < 0.01 < measured["band_high"]
    inside = measured["band_low"] <= alarms / 1000 <= measured["band_high"]
    assert measured["within_band"] is inside


def test_rows_like_those_of_calibration_fall_within_the_band(detector: Detector) -> None:
    assert (
        evaluate(detector, Rows(press_line_rows(3000, seed=11)))["holdout"]["within_band"] is True
    )


def test_rows_unlike_those_of_calibration_fall_outside_the_band(detector: Detector) -> None:
    holdout_NF = press_line_rows(3000, seed=11) + np.array([0.0, 0.05, 0.0])
    assert evaluate(detector, Rows(holdout_NF))["holdout"]["within_band"] is False


@pytest.mark.parametrize(
    "threshold", [QuantileThreshold(0.99), MadThreshold(), ConformalThreshold(1e-5)]
)
def test_a_threshold_that_follows_no_beta_binomial_law_has_no_band(
    detector: Detector, threshold: Threshold
) -> None:
    other = replace(detector, threshold=threshold.fit(detector.calibration.scores))
    measured = evaluate(other, Rows(press_line_rows(200, seed=4)))["holdout"]
    assert not {"band_low", "band_high", "within_band"} & set(measured)
    assert measured.get("false_alarm_rate_asked") == threshold.false_alarm_rate


def test_windows_that_share_rows_have_no_band(windowed: Detector) -> None:
    measured = evaluate(windowed, Rows(press_line_rows(200, seed=4)))["holdout"]
    assert not {"band_low", "band_high", "within_band"} & set(measured)
    assert measured["false_alarm_rate_asked"] == 0.01


def test_labelled_rows_whose_fault_nobody_named_are_measured_as_anomaly(detector: Detector) -> None:
    labelled = labelled_rows((100, False, "", None), (30, True, "", ANOMALOUS_ROW))
    limits = SensorLimits.fit(press_line_rows(), 0.01)
    measured = evaluate(detector, Rows(press_line_rows(200)), labelled, limits)["labelled"]
    assert list(measured["faults"]) == ["anomaly"]
    assert measured["faults"]["anomaly"]["faulty_rows"] == 30
    assert measured["faults"]["anomaly"]["recall"] == 1


def test_there_is_no_labelled_part_without_labelled_faults(detector: Detector) -> None:
    holdout_NF = press_line_rows(200, seed=4)
    assert "labelled" not in evaluate(detector, Rows(holdout_NF))
    healthy = labelled_rows((50, False, "", None))
    assert "labelled" not in evaluate(detector, Rows(holdout_NF), healthy)


def test_faults_are_measured_together_and_each_against_the_same_normal_rows(
    detector: Detector,
) -> None:
    labelled = labelled_rows(
        (400, False, "", None),
        (30, True, "overload", ANOMALOUS_ROW),
        (20, True, "wear", [1.2, 0.9, 1.1]),  # looks normal: never found
    )
    measured = evaluate(detector, Rows(press_line_rows(200)), labelled)["labelled"]
    assert (measured["rows"], measured["faulty_rows"]) == (450, 50)
    assert measured["recall"] == 30 / 50
    assert list(measured["faults"]) == ["overload", "wear"]
    overload, wear = measured["faults"]["overload"], measured["faults"]["wear"]
    assert (overload["rows"], overload["faulty_rows"]) == (430, 30)
    assert (wear["rows"], wear["faulty_rows"]) == (420, 20)
    assert overload["recall"] == overload["auroc"] == overload["auprc"] == 1
    assert wear["recall"] == 0
    false_alarms = round(30 / overload["precision"]) - 30
    assert measured["precision"] == pytest.approx(30 / (30 + false_alarms))


def test_a_fault_that_does_not_show_yet_counts_neither_as_normal_nor_as_faulty(
    detector: Detector,
) -> None:
    blocks = [(400, False, "", None), (30, True, "wear", ANOMALOUS_ROW)]
    without = labelled_rows(*blocks)
    # The same rows, and early wear that scores high: it must not count as a false alarm.
    early = labelled_rows(*blocks, (25, False, "wear", ANOMALOUS_ROW))
    assert early.judged_N.sum() == 430
    holdout_NF = press_line_rows(200)
    measured = [evaluate(detector, Rows(holdout_NF), rows)["labelled"] for rows in (without, early)]
    assert measured[0] == measured[1]


def test_sensor_limits_are_measured_on_the_same_faulty_rows(detector: Detector) -> None:
    labelled = labelled_rows(
        (100, False, "", None),
        (30, True, "overload", [9.0, 9.0, 9.0]),
        (10, True, "wear", [1.2, 0.9, 1.1]),
        (15, False, "wear", [9.0, 9.0, 9.0]),
    )
    limits = SensorLimits.fit(press_line_rows(), 0.01)
    measured = evaluate(detector, Rows(press_line_rows(200)), labelled, limits)["labelled"]
    assert measured["sensor_limits_recall"] == 30 / 40
    assert measured["faults"]["overload"]["sensor_limits_recall"] == 1
    assert measured["faults"]["wear"]["sensor_limits_recall"] == 0


def test_the_verdict_of_a_window_is_that_of_its_last_row(windowed: Detector) -> None:
    labelled = labelled_rows((100, False, "", None), (10, True, "overload", [9.0, 1.0, 9.0]))
    measured = evaluate(windowed, Rows(press_line_rows(200)), labelled)
    assert measured["holdout"]["rows"] == 197
    assert measured["labelled"]["rows"] == 107
    assert measured["labelled"]["faulty_rows"] == 10
    assert measured["labelled"]["recall"] == 1


def test_every_finite_number_has_a_dotted_name() -> None:
    evaluation = {
        "holdout": {"rows": 3, "within_band": True},
        "labelled": {"auroc": math.nan, "faults": {"bearing wear": {"recall": 0.5}}},
        "note": "text",
    }
    assert dict(numbers(evaluation)) == {
        "holdout.rows": 3.0,
        "holdout.within_band": 1.0,
        "labelled.faults.bearing wear.recall": 0.5,
    }


def test_an_evaluation_can_be_written_as_json(detector: Detector) -> None:
    labelled = labelled_rows((50, False, "", None), (5, True, "overload", ANOMALOUS_ROW))
    limits = SensorLimits.fit(press_line_rows(), 0.01)
    evaluation = evaluate(detector, Rows(press_line_rows(200)), labelled, limits)
    assert json.loads(json.dumps(evaluation)) == evaluation


def test_two_detectors_are_compared_measure_by_measure(
    detector: Detector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = press_line_bundle(tmp_path_factory.mktemp("other"), alpha=0.2).detector
    labelled = labelled_rows((200, False, "", None), (20, True, "overload", ANOMALOUS_ROW))
    holdout_NF = press_line_rows(500, seed=4)
    measures = {found.name: found for found in compare(other, detector, Rows(holdout_NF), labelled)}
    assert list(measures) == [
        "false alarm rate on holdout",
        "faulty rows found",
        "precision",
        "F1",
        "AUROC",
        "AUPRC",
    ]
    alarms = measures["false alarm rate on holdout"]
    assert alarms.candidate is not None
    assert alarms.production is not None
    assert alarms.candidate > 5 * alarms.production
    assert measures["AUROC"].candidate == measures["AUROC"].production == 1


def test_without_labels_only_false_alarms_are_compared(detector: Detector) -> None:
    measures = compare(detector, detector, Rows(press_line_rows(300, seed=4)), None)
    assert [found.name for found in measures] == ["false alarm rate on holdout"]
    assert measures[0].candidate == measures[0].production


def test_windows_over_a_pause_are_not_measured(windowed: Detector) -> None:
    holdout = Rows(press_line_rows(40, seed=4), np.repeat([0, 1, 2], [20, 2, 18]))
    labelled = labelled_rows((30, False, "", None), (12, True, "wear", ANOMALOUS_ROW))
    parted = replace(labelled, rows=replace(labelled.rows, stretch_N=np.repeat([0, 1], [30, 12])))
    limits = SensorLimits.fit(press_line_rows(500), 0.01)
    measured = evaluate(windowed, holdout, parted, limits)
    assert measured["holdout"]["rows"] == (20 - 3) + (18 - 3)
    assert measured["labelled"]["rows"] == (30 - 3) + (12 - 3)
    assert measured["labelled"]["faulty_rows"] == 12 - 3


def test_faults_that_no_window_shows_are_not_measured(windowed: Detector) -> None:
    labelled = labelled_rows((30, False, "", None), (3, True, "wear", ANOMALOUS_ROW))
    parted = replace(labelled, rows=replace(labelled.rows, stretch_N=np.repeat([0, 1], [30, 3])))
    assert "labelled" not in evaluate(windowed, Rows(press_line_rows(50)), parted)
