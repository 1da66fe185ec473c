"""How well is what is strange told from what is normal, and is the false alarm rate kept?"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from bench.cases import BoolArray, Case
from bench.fitted import Fitted
from bench.measurement import Measurement, alarms
from bench.methods import Method, rate_text
from bench.outcome import Outcome, outcome
from bench.records import Columns, Record
from bench.summary import BAND, summary
from kizashi.evaluation.metrics import auprc, auroc, false_alarm_band
from kizashi.runtime.thresholds.rule import FALLBACK

NUMBERS = (
    "sensors",
    "window_length",
    "train_rows",
    "auroc",
    "auprc",
    "auroc_calibrated",
    "auprc_calibrated",
    "calibration_rows",
    "effective_rows",
    "normal_rows",
    "false_alarms",
    "false_alarm_rate",
    "band_low",
    "band_high",
    "within_band",
    "anomalous_rows",
    "found",
    "detection_rate",
    "normal_rows_before",
    "false_alarms_before",
    "fit_seconds",
    "batch_us",
    "single_us",
    "bundle_bytes",
)


class Ranking(Measurement):
    """AUROC, AUPRC, false alarms at each rate asked for, and costs."""

    file = "detection"
    columns = Columns("alpha", NUMBERS)

    def varied(self, method: Method) -> Sequence[str]:
        return [rate_text(threshold) for threshold in method.thresholds()]

    def measure(
        self, case: Case, method: Method, seed: int, fitted: Callable[[], Fitted]
    ) -> list[Record]:
        windows_BTF = case.test_windows(method.window_length)
        return measured(case, method, outcome(fitted(), windows_BTF, method.thresholds()))

    def summary(self, table: pd.DataFrame, methods: Sequence[str], command: str) -> str:
        return summary(table, methods, command)


def measured(case: Case, method: Method, outcome: Outcome) -> list[Record]:
    """One row for each threshold of `outcome`. `threshold` is the rule that applied: the fallback
    where there are too few rows for the rate; `effective_rows` are the independent ones that the
    calibration rows were taken for. Rows of `threshold=blocks` that were recorded before there was
    this column have none, and do not tell whether a fallback applied."""
    label_B = case.label_N
    of_all: Record = {
        "sensors": len(case.contract.sensors),
        "window_length": method.window_length,
        "train_rows": len(case.train_NF),
        "auroc": auroc(label_B, outcome.score_B),
        "auprc": auprc(label_B, outcome.score_B),
        "auroc_calibrated": auroc(label_B, outcome.calibrated_score_B),
        "auprc_calibrated": auprc(label_B, outcome.calibrated_score_B),
        "fit_seconds": outcome.fit_seconds,
        "batch_us": outcome.batch_us,
        "single_us": outcome.single_us,
        "bundle_bytes": "" if outcome.bundle_bytes is None else outcome.bundle_bytes,
    }
    rows = []
    for threshold, anomaly_B in zip(outcome.thresholds, outcome.anomaly_B, strict=True):
        applied = threshold.details.get(FALLBACK, threshold.kind)
        row: Record = {"alpha": rate_text(threshold), "threshold": applied}
        row |= alarms(label_B, anomaly_B)
        row["calibration_rows"] = threshold.calibration_rows
        row["effective_rows"] = threshold.details.get("effective_rows", threshold.calibration_rows)
        if case.kind == "exchangeable" and threshold.follows_rank_law:
            row |= _band(row, threshold.false_alarm_rate or 0.0)
        if case.kind == "series":
            row |= _before_the_first(label_B, anomaly_B)
        rows.append({**of_all, **row})
    return rows


def _before_the_first(label_B: BoolArray, anomaly_B: BoolArray) -> Record:
    """False alarms among the rows before the first anomaly: after one, a machine that recovers
    slowly, or not at all, is labelled normal long before it is."""
    first = int(np.argmax(label_B))
    return {"normal_rows_before": first, "false_alarms_before": int(anomaly_B[:first].sum())}


def _band(row: Record, alpha: float) -> Record:
    """Where the law of split conformal puts this case; nothing where there are too few rows."""
    low, high = false_alarm_band(row["calibration_rows"], row["normal_rows"], alpha, BAND)
    if (low, high) == (0.0, 1.0):
        return {}
    inside = low - 1e-12 <= row["false_alarm_rate"] <= high + 1e-12
    return {"band_low": low, "band_high": high, "within_band": int(inside)}
