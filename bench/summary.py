"""Results as Markdown: for each suite the means and ranks, what was promised of false alarms beside
what was kept, and every case.

A case counts once in means, ranks and wins, with the mean over its seeds. A method that failed on
a case has the last rank there and is missing from its own mean; how often it failed is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from bench.tables import failures, markdown, number, pair, percent

BAND = 0.999
MEASURES = ("auroc", "auprc")
COMPARED_WITH = "pyod_knn"
ENOUGH_CALIBRATION_ROWS = 500
"""With fewer, the false alarm rate of a single case says little of the rule."""
TOLERANCE = 0.15
"""How far the mean false alarm rate may be from the one asked for, as a share of that."""


def summary(table: pd.DataFrame, methods: Sequence[str], command: str) -> str:
    """The whole document; `methods` gives the order of rows and columns."""
    parts = [f"# Detection\n\n`{command}`\n"]
    for suite, results in table.groupby("suite", sort=True):
        parts.append(suite_summary(str(suite), results, methods))
    return "\n".join(parts)


def suite_summary(suite: str, results: pd.DataFrame, methods: Sequence[str]) -> str:
    """The tables of one suite."""
    methods = [method for method in methods if method in set(results["method"])]
    once = results.drop_duplicates(["case", "method", "seed"])
    cases, seeds = once["case"].nunique(), sorted(once["seed"].unique(), key=int)
    titled = f"## {suite}\n\n{cases} cases, seeds {', '.join(seeds)}."
    parts = [titled, _ranking(once, methods), _costs(once, methods)]
    exchangeable = results[results["kind"] == "exchangeable"]
    if len(exchangeable):
        parts.append(_promise(exchangeable, methods))
    series = results[results["kind"] == "series"]
    if len(series):
        parts.append(_pooled(series, methods))
    parts += [_per_case(once, methods), failures(once)]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_case(once: pd.DataFrame, measure: str, methods: Sequence[str]) -> pd.DataFrame:
    """Cases in rows, methods in columns, means over the seeds; NaN where every seed failed."""
    wide = once.pivot_table(measure, "case", "method", "mean", dropna=False)
    return wide.reindex(index=sorted(once["case"].unique()), columns=list(methods))


def ranks(wide: pd.DataFrame) -> pd.DataFrame:
    """1 for the best method of each case; ties share their mean rank, failures come last."""
    return wide.round(9).fillna(-np.inf).rank(axis=1, ascending=False)


def wins(wide: pd.DataFrame) -> pd.Series:
    """On how many cases a method is best, alone or with others."""
    rounded = wide.round(9)
    return rounded.eq(rounded.max(axis=1), axis=0).sum()


def paired_p(wide: pd.DataFrame, method: str, other: str = COMPARED_WITH) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over the cases that both finished; NaN when there
    is nothing to compare."""
    if method == other or other not in wide:
        return float("nan")
    both = wide[[method, other]].dropna().round(9)
    difference = (both[method] - both[other]).to_numpy()
    if not difference.any():
        return float("nan")
    return float(wilcoxon(difference).pvalue)


def _ranking(once: pd.DataFrame, methods: Sequence[str]) -> str:
    wide = {measure: by_case(once, measure, methods) for measure in MEASURES}
    rank = {measure: ranks(wide[measure]).mean() for measure in MEASURES}
    won = {measure: wins(wide[measure]) for measure in MEASURES}
    same_rows = once.groupby("method")[["auroc_calibrated", "auprc_calibrated"]].mean()
    missing = once.groupby("method")["failed"].agg(lambda failed: int((failed != "").sum()))
    rows = []
    for method in methods:
        p = {measure: paired_p(wide[measure], method) for measure in MEASURES}
        rows.append(
            [
                method,
                pair(wide[measure][method].mean() for measure in MEASURES),
                pair((rank[measure][method] for measure in MEASURES), 2),
                f"{won['auroc'][method]} / {won['auprc'][method]}",
                pair((p[measure] for measure in MEASURES), 4),
                pair(same_rows[measure][method] for measure in same_rows),
                str(missing[method]),
            ]
        )
    titles = [
        "method",
        "AUROC / AUPRC",
        "mean rank",
        "wins",
        f"p against {COMPARED_WITH}",
        "without calibration rows",
        "failed",
    ]
    note = (
        "Means over cases. Each pair is of AUROC and AUPRC. p: paired Wilcoxon over cases, "
        "two-sided. Wins: cases where none is better. Peers learn from all training rows, this "
        "project's detector without those of its calibration; the column before the last "
        "has every method learn without them. Where calibration is by cross-fitting, all learn "
        "from all rows."
    )
    return f"{markdown(titles, rows)}\n\n{note}"


def _costs(once: pd.DataFrame, methods: Sequence[str]) -> str:
    median = once.groupby("method")[["fit_seconds", "batch_us", "single_us", "bundle_bytes"]]
    cost = median.median()
    rows = [
        [
            method,
            number(cost["fit_seconds"][method], 2),
            number(cost["batch_us"][method], 1),
            number(cost["single_us"][method], 1),
            number(cost["bundle_bytes"][method] / 1024, 0),
        ]
        for method in methods
    ]
    titles = [
        "method",
        "fit, CPU s",
        "µs a row, in batches",
        "µs a row, one at a time",
        "bundle, KiB",
    ]
    return f"{markdown(titles, rows)}\n\nMedians over cases and seeds, on one CPU thread."


def _promise(results: pd.DataFrame, methods: Sequence[str]) -> str:
    """False alarm rates beside what was asked for, on rows that are exchangeable."""
    rows = []
    for alpha, method, one in _by_rate(results, methods):
        enough = one[one["calibration_rows"] >= ENOUGH_CALIBRATION_ROWS]
        kept = float(enough["false_alarm_rate"].mean())
        lawful = one["within_band"].dropna()
        rows.append(
            [
                alpha,
                method,
                percent(one["false_alarm_rate"].mean()),
                percent(one["false_alarm_rate"].median()),
                f"{percent(kept)} ({enough['case'].nunique()})",
                _against(kept, alpha),
                f"{int(lawful.sum())} of {len(lawful)}",
                percent(one["detection_rate"].mean()),
            ]
        )
    titles = [
        "asked for",
        "method",
        "false alarms, mean",
        "median",
        f"mean with {ENOUGH_CALIBRATION_ROWS} calibration rows (cases)",
        "÷ asked for",
        f"inside the {BAND:.1%} band",
        "anomalies found",
    ]
    note = (
        f"÷ asked for: the mean over cases with {ENOUGH_CALIBRATION_ROWS} calibration rows as a "
        f"multiple of the rate asked for; kept is within ±{TOLERANCE:.0%}. "
        "The band is what the law of split conformal allows a single case with its numbers of "
        "calibration and test rows; cases with too few calibration rows for the rate have none."
    )
    return f"{markdown(titles, rows)}\n\n{note}"


def _against(rate: float, asked: str) -> str:
    """Measured over asked, and whether that is kept; – where there is nothing to hold it to."""
    ratio = rate / float(asked) if asked not in ("", "–") else float("nan")
    if np.isnan(ratio):
        return "–"
    return f"{ratio:.2f}, {'kept' if abs(ratio - 1) <= TOLERANCE else 'not kept'}"


def _pooled(series: pd.DataFrame, methods: Sequence[str]) -> str:
    """F1, false alarm rate and missed alarm rate over the rows of all series together."""
    rows = [
        [
            alpha,
            method,
            number(of_rows.f1),
            percent(of_rows.far),
            _percent_if(of_rows.far_before),
            percent(of_rows.mar),
            number(one["auroc"].mean()),
        ]
        for alpha, method, one in _by_rate(series, methods)
        for of_rows in [pooled(one)]
    ]
    titles = [
        "asked for",
        "method",
        "F1",
        "FAR",
        "FAR before the first anomaly",
        "MAR",
        "mean AUROC of a file",
    ]
    note = (
        "Series: pooled over the rows of all files at the calibrated threshold, in which no label "
        "had a say; means over the seeds. FAR is over all rows that are labelled normal, also "
        "where a machine has not recovered yet; before the first anomaly of a file there is none "
        "to recover from."
    )
    return f"{markdown(titles, rows)}\n\n{note}"


@dataclass(frozen=True)
class Pooled:
    """Of the rows of all series together, means over the seeds: F1, the false alarm rate, before
    the first anomaly of a series too (NaN where that was not counted), and the share of anomalous
    rows that was missed."""

    f1: float
    far: float
    far_before: float
    mar: float


def pooled(one: pd.DataFrame) -> Pooled:
    """From the results of one method at one rate asked for."""
    counted = ["normal_rows", "false_alarms", "anomalous_rows", "found"]
    before = ["normal_rows_before", "false_alarms_before"]
    total = one.groupby("seed")[counted + before].sum(min_count=1)
    flagged = total["found"] + total["false_alarms"]
    return Pooled(
        f1=float((2 * total["found"] / (flagged + total["anomalous_rows"])).mean()),
        far=float((total["false_alarms"] / total["normal_rows"]).mean()),
        far_before=float((total["false_alarms_before"] / total["normal_rows_before"]).mean()),
        mar=float(1 - (total["found"] / total["anomalous_rows"]).mean()),
    )


def _percent_if(share: float) -> str:
    """– where it was not measured."""
    return "–" if np.isnan(share) else percent(share)


def _per_case(once: pd.DataFrame, methods: Sequence[str]) -> str:
    wide = {measure: by_case(once, measure, methods) for measure in MEASURES}
    rows = [
        [str(case), *(pair(wide[m].loc[case, method] for m in MEASURES) for method in methods)]
        for case in wide["auroc"].index
    ]
    return markdown(["case (AUROC / AUPRC)", *methods], rows)


def _by_rate(
    results: pd.DataFrame, methods: Sequence[str]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The results of each method at each rate asked for, the largest first; – for no rate."""
    rates = sorted(set(results["alpha"]), key=lambda rate: -float(rate or 0))
    for rate in rates:
        for method in methods:
            one = results[(results["alpha"] == rate) & (results["method"] == method)]
            if len(one):
                yield rate or "–", method, one
