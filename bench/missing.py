"""What does a sensor cost that is not there?

In every test row one sensor, drawn evenly from all, is missing: not a number throughout its window.
The same rows are judged as they are, with the sensor missing, and with its training mean in its
place, which is what a user would do without any support.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from bench.cases import Case, Kind
from bench.fitted import Fitted
from bench.measurement import Measurement, Skipped, alarms
from bench.methods import Method
from bench.records import Columns, Record
from bench.tables import failures, markdown, number, pair, percent
from kizashi.errors import KizashiError
from kizashi.evaluation.metrics import auprc, auroc
from kizashi.runtime.thresholds import Threshold

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
ENOUGH_CALIBRATION_ROWS = 500
ARMS = {
    "whole": "every sensor there",
    "missing": "one missing",
    "mean": "its training mean instead",
}
UNSUPPORTED = "not supported: "


class Missing(Measurement):
    """AUROC and false alarms of this project's detector with one sensor of each row missing."""

    file = "missing"
    columns = Columns(
        "readings",
        (
            "sensors",
            "auroc",
            "auprc",
            "calibration_rows",
            "normal_rows",
            "false_alarms",
            "false_alarm_rate",
            "anomalous_rows",
            "found",
            "detection_rate",
        ),
    )

    def applies(self, method: Method, kind: Kind) -> bool:
        return method.peer is None

    def varied(self, method: Method) -> Sequence[str]:
        return list(ARMS)

    def measure(
        self, case: Case, method: Method, seed: int, fitted: Callable[[], Fitted]
    ) -> list[Record]:
        arms = readings(case, method.window_length, seed)
        fit = fitted()
        (rule,) = method.thresholds([ALPHA])
        with threadpool_limits(1):
            threshold = fit.calibrate(rule)
            return [
                {
                    "readings": arm,
                    "threshold": rule.kind,
                    **_judged(case, fit, threshold, windows_BTF),
                }
                for arm, windows_BTF in arms.items()
            ]

    def summary(self, table: pd.DataFrame, methods: Sequence[str], command: str) -> str:
        parts = [f"# Missing values\n\n`{command}`", _explained()]
        for suite, results in table.groupby("suite", sort=True):
            parts += [f"## {suite}", _arms(results, methods), _per_case(results, methods)]
            lost = results[~results["failed"].str.startswith(UNSUPPORTED)]
            if len(lost) < len(results):
                parts.append(f"Not supported in {len(results) - len(lost)} results.")
            parts.append(failures(lost))
        return "\n\n".join(part for part in parts if part) + "\n"


def readings(case: Case, window_length: int, seed: int) -> dict[str, FloatArray]:
    """The test windows of each arm. Raises Skipped for a single sensor: nothing would be left."""
    sensors = case.train_NF.shape[1]
    if sensors < 2:
        raise Skipped("its only sensor would be missing")
    whole_BTF = case.test_windows(window_length)
    sensor_B = np.random.default_rng([seed, 8]).integers(0, sensors, len(whole_BTF))
    rows = np.arange(len(whole_BTF))
    missing_BTF, mean_BTF = whole_BTF.copy(), whole_BTF.copy()
    missing_BTF[rows, :, sensor_B] = np.nan
    mean_BTF[rows, :, sensor_B] = case.train_NF.mean(axis=0)[sensor_B][:, None]
    return {"whole": whole_BTF, "missing": missing_BTF, "mean": mean_BTF}


def _judged(case: Case, fit: Fitted, threshold: Threshold, windows_BTF: FloatArray) -> Record:
    try:
        score_B = fit.calibrated_score(windows_BTF)
        anomaly_B = fit.decide(windows_BTF, score_B, threshold)
    except KizashiError as error:
        if np.isfinite(windows_BTF).all():
            raise
        return {"failed": f"{UNSUPPORTED}{error}"}
    label_B = case.label_N
    return {
        "sensors": len(case.contract.sensors),
        "auroc": auroc(label_B, score_B),
        "auprc": auprc(label_B, score_B),
        "calibration_rows": threshold.calibration_rows,
        **alarms(label_B, anomaly_B),
    }


def _explained() -> str:
    return (
        "In each test row one sensor, drawn evenly from all, is missing (in windows: throughout "
        "the window). Means over cases of the means over seeds; false alarms at the threshold "
        f"calibrated at {ALPHA:.0%}."
    )


def _arms(results: pd.DataFrame, methods: Sequence[str]) -> str:
    rows = []
    for method in methods:
        for arm, words in ARMS.items():
            one = results[(results["method"] == method) & (results["readings"] == arm)]
            if one.empty:
                continue
            means = one.groupby("case")[
                ["auroc", "auprc", "false_alarm_rate", "detection_rate"]
            ].mean()
            enough = one[one["calibration_rows"] >= ENOUGH_CALIBRATION_ROWS]
            kept = enough.groupby("case")["false_alarm_rate"].mean()
            cells = [
                pair((means["auroc"].mean(), means["auprc"].mean())),
                percent(means["false_alarm_rate"].mean()),
                f"{percent(kept.mean())} ({len(kept)})",
                number(kept.mean() / ALPHA, 2),
                percent(means["detection_rate"].mean()),
            ]
            rows.append([method, words, *cells])
    titles = [
        "method",
        "readings",
        "AUROC / AUPRC",
        "false alarms",
        f"with {ENOUGH_CALIBRATION_ROWS} calibration rows (cases)",
        "÷ asked for",
        "anomalies found",
    ]
    return markdown(titles, rows)


def _per_case(results: pd.DataFrame, methods: Sequence[str]) -> str:
    own = [method for method in methods if method in set(results["method"])]
    rows = []
    for case, of_case in results.groupby("case", sort=True):
        means = of_case.groupby(["method", "readings"])["auroc"].mean()
        rows.append(
            [
                str(case),
                *(pair(float(means.get((method, arm), np.nan)) for arm in ARMS) for method in own),
            ]
        )
    return markdown([f"case (AUROC: {' / '.join(ARMS.values())})", *own], rows)
