"""Which sensor is off? One sensor of normal test rows is shifted, and the method is asked.

Up to ROWS normal test rows of a case are drawn; in each one sensor, drawn evenly from those that
move in training, is shifted by k standard deviations of its training values, up or down by chance.
The whole window is shifted, as by an instrument that has lost its zero. The threshold is
calibrated at 1 %, so "detected" means what it would mean on a line.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from bench.cases import Case, Kind
from bench.fitted import Fitted
from bench.measurement import Measurement, Skipped
from bench.methods import Method
from bench.peers import ATTRIBUTING, constant
from bench.records import Columns, Record
from bench.tables import failures, markdown, number, percent

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

SHIFTS = (3, 5, 8)
"""Standard deviations of the training values."""
ALPHA = 0.01
ROWS = 1_000
GOAL = 0.85


class Shift(NamedTuple):
    """Which sensor of each window moves, and by how much for k = 1, both of shape (B,)."""

    sensor_B: IntArray
    step_B: FloatArray

    def apply(self, windows_BTF: FloatArray, k: float) -> FloatArray:
        shifted_BTF = windows_BTF.copy()
        shifted_BTF[np.arange(len(windows_BTF)), :, self.sensor_B] += k * self.step_B[:, None]
        return shifted_BTF


class Contributions(Measurement):
    """How often the sensor that was shifted contributes most."""

    file = "contributions"
    columns = Columns("shift", ("rows", "detected", "first", "detected_first", "share"))

    def applies(self, method: Method, kind: Kind) -> bool:
        return method.peer is None or method.peer in ATTRIBUTING

    def varied(self, method: Method) -> Sequence[str]:
        return [str(shift) for shift in SHIFTS]

    def measure(
        self, case: Case, method: Method, seed: int, fitted: Callable[[], Fitted]
    ) -> list[Record]:
        windows_BTF, shift = shifts(case, method.window_length, seed)
        fit = fitted()
        (rule,) = method.thresholds([ALPHA])
        rows = []
        with threadpool_limits(1):
            threshold = fit.calibrate(rule)
            for k in SHIFTS:
                shifted_BTF = shift.apply(windows_BTF, k)
                score_B = fit.calibrated_score(shifted_BTF)
                detected_B = fit.decide(shifted_BTF, score_B, threshold)
                first_B = fit.contributions(shifted_BTF).argmax(axis=1) == shift.sensor_B
                rows.append(
                    {"shift": str(k), "threshold": rule.kind, **_counted(detected_B, first_B)}
                )
        return rows

    def summary(self, table: pd.DataFrame, methods: Sequence[str], command: str) -> str:
        parts = [f"# Contributions\n\n`{command}`", _explained()]
        for suite, results in table.groupby("suite", sort=True):
            parts += [f"## {suite}", _shares(results, methods), _per_case(results, methods)]
            parts.append(failures(results))
        return "\n\n".join(part for part in parts if part) + "\n"


def shifts(case: Case, window_length: int, seed: int) -> tuple[FloatArray, Shift]:
    """Normal test windows as they are, and what is to be done to them.

    Raises Skipped when there is no second sensor that could be blamed.
    """
    moving_M = np.flatnonzero(~constant(case.train_NF))
    if len(moving_M) < 2:
        raise Skipped("fewer than two sensors move in training")
    rng = np.random.default_rng([seed, 5])
    normal_B = np.flatnonzero(~case.label_N)
    place_B = np.sort(rng.permutation(normal_B)[:ROWS])
    sensor_B = rng.choice(moving_M, len(place_B))
    sign_B = rng.choice([-1.0, 1.0], len(place_B))
    step_B = sign_B * case.train_NF.std(axis=0)[sensor_B]
    return case.test_windows(window_length)[place_B], Shift(sensor_B, step_B)


def _counted(detected_B: npt.NDArray[np.bool_], first_B: npt.NDArray[np.bool_]) -> Record:
    detected, both = int(detected_B.sum()), int((detected_B & first_B).sum())
    counts = {"rows": len(first_B), "detected": detected, "first": int(first_B.sum())}
    return {**counts, "detected_first": both, "share": both / detected if detected else ""}


def _explained() -> str:
    return (
        "One sensor of each of up to "
        f"{ROWS:,} normal test rows a case is shifted by k standard deviations of its training "
        "values, up or down (in windows: throughout the window; sensors that never move are left "
        f"alone). Detected: above the threshold calibrated at {ALPHA:.0%}. Named: the shifted "
        f"sensor contributes most. Asked for: {GOAL:.0%} of what is detected. Peers: those whose "
        "score is a sum over sensors (T² by squared components after symmetric whitening, the "
        "plain autoencoder by squared residuals)."
    )


def _shares(results: pd.DataFrame, methods: Sequence[str]) -> str:
    rows = []
    for method in methods:
        for k in SHIFTS:
            one = results[(results["method"] == method) & (results["shift"] == str(k))]
            total = one[["rows", "detected", "first", "detected_first"]].sum()
            if not total["rows"]:
                continue
            mean = one.groupby("case")["share"].mean().mean()
            cells = [
                percent(total["detected"] / total["rows"]),
                percent(mean),
                percent(
                    total["detected_first"] / total["detected"] if total["detected"] else np.nan
                ),
                percent(total["first"] / total["rows"]),
            ]
            rows.append([method, str(k), *cells])
        one = results[results["method"] == method]
        if one["share"].notna().any():
            whole = one["detected_first"].sum() / one["detected"].sum()
            mean = one.groupby(["case", "shift"])["share"].mean().mean()
            rows.append([method, "all", "", percent(mean), percent(whole), ""])
    titles = [
        "method",
        "k",
        "detected",
        "named among detected, mean over cases",
        "of all detected rows",
        "named among all shifted rows",
    ]
    return markdown(titles, rows)


def _per_case(results: pd.DataFrame, methods: Sequence[str]) -> str:
    wide = results.pivot_table("share", "case", ["method", "shift"], "mean", dropna=False)
    columns = [method for method in methods if method in set(results["method"])]
    rows = [
        [
            str(case),
            *(
                " / ".join(
                    number(
                        float(wide.loc[[case]].get((method, str(k)), pd.Series([np.nan])).iloc[0])
                    )
                    for k in SHIFTS
                )
                for method in columns
            ),
        ]
        for case in wide.index
    ]
    named = f"case (named among detected, k = {', '.join(map(str, SHIFTS))})"
    return markdown([named, *columns], rows)
