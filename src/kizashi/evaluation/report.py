"""The evaluation of one bundle: false alarms on normal rows, and detection on labelled ones."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kizashi.data.labelled import UNNAMED, LabelledRows
from kizashi.evaluation.metrics import auprc, auroc, false_alarm_band, precision_recall_f1
from kizashi.evaluation.sensor_limits import SensorLimits
from kizashi.runtime.detector import Detector
from kizashi.runtime.windows import Rows

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Evaluation = dict[str, Any]
"""Nested names to numbers, as `artifacts/metrics.json` holds them."""


def evaluate(
    detector: Detector,
    holdout: Rows,
    labelled: LabelledRows | None = None,
    limits: SensorLimits | None = None,
) -> Evaluation:
    """Measure a detector; `limits` adds what limits per sensor find on the same labelled rows.

    The verdict of a window is that of its last row.
    """
    evaluation: Evaluation = {"holdout": evaluate_normal(detector, holdout)}
    if labelled is not None and labelled.shows_faults(detector.contract.window_length):
        evaluation["labelled"] = evaluate_labelled(detector, labelled, limits)
    return evaluation


def evaluate_normal(detector: Detector, holdout: Rows) -> Evaluation:
    """False alarms on normal rows that nothing was fitted on, beside what was asked for."""
    windows_BTF = holdout.windows(detector.contract.window_length, "holdout rows")
    false_alarms = int(detector.decide(windows_BTF, detector.score(windows_BTF)).sum())
    threshold = detector.threshold
    result: Evaluation = {
        "rows": len(windows_BTF),
        "false_alarms": false_alarms,
        "false_alarm_rate": false_alarms / len(windows_BTF),
        "calibration_rows": threshold.calibration_rows,
        "threshold": threshold.value,
    }
    if threshold.false_alarm_rate is not None:
        result["false_alarm_rate_asked"] = threshold.false_alarm_rate
    # The law of the band is that of the conformal rank rule, which falls back to a fitted tail and
    # then warns, and of exchangeable windows, which those that share rows are not.
    lawful = threshold.follows_rank_law
    if threshold.false_alarm_rate is not None and lawful and detector.contract.window_length == 1:
        low, high = false_alarm_band(
            threshold.calibration_rows, len(windows_BTF), threshold.false_alarm_rate
        )
        result |= {
            "band_low": low,
            "band_high": high,
            "within_band": low <= result["false_alarm_rate"] <= high,
        }
    return result


def evaluate_labelled(
    detector: Detector, labelled: LabelledRows, limits: SensorLimits | None = None
) -> Evaluation:
    """Detection over all faults, then fault by fault against the same normal rows."""
    length = detector.contract.window_length
    windows_BTF = labelled.rows.windows(length, "labelled rows")
    score_B = detector.score(windows_BTF)
    anomaly_B = detector.decide(windows_BTF, score_B)
    last_B = labelled.rows.ends(length)
    label_B, fault_B, judged_B = (
        labelled.label_N[last_B],
        labelled.fault_N[last_B],
        labelled.judged_N[last_B],
    )
    fault_B = np.where(label_B & (fault_B == ""), UNNAMED, fault_B)
    result = _detection(label_B[judged_B], score_B[judged_B], anomaly_B[judged_B])
    if limits is not None:
        by_limits_B = limits.exceeded(labelled.rows.values_NF[last_B])
        result["sensor_limits_recall"] = float(by_limits_B[judged_B & label_B].mean())
    result["faults"] = {}
    for fault in np.unique(fault_B[label_B & judged_B]):
        chosen_B = judged_B & (~label_B | (fault_B == fault))
        one = _detection(label_B[chosen_B], score_B[chosen_B], anomaly_B[chosen_B])
        if limits is not None:
            one["sensor_limits_recall"] = float(by_limits_B[label_B & (fault_B == fault)].mean())
        result["faults"][str(fault)] = one
    return result


def numbers(evaluation: Evaluation, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every finite number in an evaluation under its dotted name, truth values as 0 and 1."""
    for key, value in evaluation.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from numbers(value, f"{name}.")
        elif isinstance(value, bool | int | float) and math.isfinite(value):
            yield name, float(value)


def _detection(label_B: BoolArray, score_B: FloatArray, anomaly_B: BoolArray) -> Evaluation:
    precision, recall, f1 = precision_recall_f1(label_B, anomaly_B)
    return {
        "rows": len(label_B),
        "faulty_rows": int(label_B.sum()),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auroc": auroc(label_B, score_B),
        "auprc": auprc(label_B, score_B),
    }
