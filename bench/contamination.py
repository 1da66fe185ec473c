"""What do training rows that are not quite clean cost?

Anomalies are drawn from the test rows and mixed into the training rows at random places, so that
they are a share of all rows that a method learns from, calibration included. Those that the largest
share needs leave the test rows of every share, so that losses compare; the rows of a smaller share
are among those of a larger one. At least half of the anomalies stay in the test: where that leaves
too few for the largest share, fewer normal rows are learned from, the same ones at every share.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from bench.cases import Case, Kind
from bench.fitted import Fitted
from bench.measurement import Measurement, Skipped
from bench.methods import Method
from bench.records import Columns, Record
from bench.tables import failures, markdown, number, pair
from kizashi.evaluation.metrics import auprc, auroc
from kizashi.runtime.windows import Rows

IntArray = npt.NDArray[np.intp]

SHARES = (0.0, 0.02, 0.05)
"""Of anomalies among the rows that are learned from."""
FEWEST_LEFT = 5
"""With fewer anomalies left to find, a case says nothing."""
COMPARED_WITH = "pyod_knn"
PEERS = (COMPARED_WITH, "pyod_lof", "t2_ledoit_wolf")
GOAL = 0.5
MEASURES = ("auroc", "auprc")


class Contamination(Measurement):
    """AUROC and AUPRC with anomalies among the training rows."""

    file = "contamination"
    version = 2
    columns = Columns("share", ("train_rows", "mixed_in", "anomalous_rows", *MEASURES))

    def applies(self, method: Method, kind: Kind) -> bool:
        # The anomalies of a series are stretches of time: mixed in row by row they are others.
        return kind == "exchangeable" and (method.peer is None or method.peer in PEERS)

    def varied(self, method: Method) -> Sequence[str]:
        return [f"{share:g}" for share in SHARES]

    def measure(
        self, case: Case, method: Method, seed: int, fitted: Callable[[], Fitted]
    ) -> list[Record]:
        learned = thinned(case, seed)
        drawn, kept = drawn_anomalies(learned, seed)
        windows_BTF = case.test_windows(method.window_length)[kept]
        label_B = case.label_N[kept]
        rows = []
        for share in SHARES:
            dirty = mixed(learned, drawn, share, seed)
            as_given = not share and learned is case
            fit = fitted() if as_given else method.fit(dirty, seed)
            with threadpool_limits(1):
                score_B = fit.score(windows_BTF)
            row: Record = {"share": f"{share:g}", "train_rows": len(dirty.train_NF)}
            row |= {"mixed_in": needed(learned, share), "anomalous_rows": int(label_B.sum())}
            row |= {"auroc": auroc(label_B, score_B), "auprc": auprc(label_B, score_B)}
            rows.append(row)
        return rows

    def summary(self, table: pd.DataFrame, methods: Sequence[str], command: str) -> str:
        parts = [f"# Contamination\n\n`{command}`", _explained()]
        for suite, results in table.groupby("suite", sort=True):
            parts += [f"## {suite}", *_tables(results, methods), failures(results)]
        return "\n\n".join(part for part in parts if part) + "\n"


def needed(case: Case, share: float) -> int:
    """How many anomalies make `share` of the training rows and themselves together."""
    return round(share / (1 - share) * len(case.train_NF))


def thinned(case: Case, seed: int) -> Case:
    """The case with no more normal rows to learn from than half of its anomalies can be the largest
    share of; the case itself where it has no more."""
    most = math.floor(int(case.label_N.sum()) // 2 * (1 / max(SHARES) - 1))
    if len(case.train_NF) <= most:
        return case
    place_N = np.random.default_rng([seed, 8]).permutation(len(case.train_NF))[:most]
    return replace(case, train=Rows(case.train_NF[np.sort(place_N)]))


def drawn_anomalies(case: Case, seed: int) -> tuple[IntArray, IntArray]:
    """Which test rows go into training, in the order in which they are taken, and which are left.

    Raises Skipped when too few anomalies would be left.
    """
    anomalous = np.flatnonzero(case.label_N)
    most = needed(case, max(SHARES))
    if len(anomalous) - most < FEWEST_LEFT:
        raise Skipped(
            f"{max(SHARES):.0%} takes {most} of {len(anomalous)} anomalies; {FEWEST_LEFT} must stay"
        )
    drawn = np.random.default_rng([seed, 6]).permutation(anomalous)[:most]
    return drawn, np.setdiff1d(np.arange(len(case.label_N)), drawn)


def mixed(case: Case, drawn: IntArray, share: float, seed: int) -> Case:
    """The case with the first of the drawn anomalies at random places among its training rows."""
    dirty_NF = case.test_NF[drawn[: needed(case, share)]]
    rng = np.random.default_rng([seed, 7])
    place_N = rng.integers(0, len(case.train_NF) + 1, len(dirty_NF))
    return replace(case, train=Rows(np.insert(case.train_NF, place_N, dirty_NF, axis=0)))


def _explained() -> str:
    return (
        "Anomalies drawn from the test rows are mixed into the training rows, calibration rows "
        "included; what the largest share takes is missing from the test of every share. At least "
        "half of the anomalies stay there: where they are few, fewer normal rows are learned from, "
        "by every method and at every share. Loss: "
        "AUROC and AUPRC points (hundredths) below the same method with clean rows, the mean over "
        f"the cases that every method finished. Asked for: a loss in AUROC of at most {GOAL:g} "
        f"times that of {COMPARED_WITH}. Series are left out: their anomalies are stretches of "
        "time, not rows."
    )


def _tables(results: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    methods = [method for method in methods if method in set(results["method"])]
    wide = {
        measure: results.pivot_table(measure, "case", ["method", "share"], "mean")
        for measure in MEASURES
    }
    wide = {measure: frame.dropna() for measure, frame in wide.items()}
    if wide["auroc"].empty:
        return []
    loss = {
        measure: {
            (method, share): 100 * (frame[method, "0"] - frame[method, share])
            for method in methods
            for share in (f"{share:g}" for share in SHARES)
            if (method, share) in frame
        }
        for measure, frame in wide.items()
    }
    rows = []
    for method, share in loss["auroc"]:
        lost = [float(loss[measure][method, share].mean()) for measure in MEASURES]
        cells = [pair(wide[measure][method, share].mean() for measure in MEASURES), "", ""]
        if share != "0":
            cells[1:] = [pair(lost, 2), _against(loss, method, share)]
        rows.append([method, f"{float(share):.0%}", *cells])
    titles = ["method", "anomalies", "AUROC / AUPRC", "loss, points", f"÷ loss of {COMPARED_WITH}"]
    largest = f"{max(SHARES):g}"
    cases = [
        [
            str(case),
            *(pair((loss[m][method, largest][case] for m in MEASURES), 2) for method in methods),
        ]
        for case in wide["auroc"].index
    ]
    counted = (
        f"{len(wide['auroc'])} cases, seeds {', '.join(sorted(set(results['seed']), key=int))}."
    )
    return [
        counted,
        markdown(titles, rows),
        markdown([f"case (points lost at {max(SHARES):.0%})", *methods], cases),
    ]


def _against(loss: dict[str, dict[tuple[str, str], pd.Series]], method: str, share: str) -> str:
    """The ratios of the mean losses; – where the other loses nothing."""
    ratios = []
    for measure in MEASURES:
        other = loss[measure].get((COMPARED_WITH, share))
        mean = float("nan") if other is None else float(other.mean())
        ratios.append(
            float(loss[measure][method, share].mean()) / mean if mean > 0 else float("nan")
        )
    return " / ".join(number(ratio, 2) for ratio in ratios)
