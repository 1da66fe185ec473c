"""Measures of detection: scores are higher for more anomalous windows, labels are True there."""

import math

import numpy as np
import numpy.typing as npt

from kizashi.runtime.calibration import conformal_rank

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def auroc(label_B: BoolArray, score_B: FloatArray) -> float:
    """Probability that an anomalous window scores above a normal one, ties counting half.

    The Mann-Whitney statistic (Hanley and McNeil, Radiology 143, 1982). NaN when either class is
    missing.
    """
    anomalous, normal = int(label_B.sum()), int((~label_B).sum())
    if anomalous == 0 or normal == 0:
        return math.nan
    ordered = np.sort(score_B[~label_B])
    below = np.searchsorted(ordered, score_B[label_B], side="left")
    not_above = np.searchsorted(ordered, score_B[label_B], side="right")
    return float((below + not_above).sum() / 2 / anomalous / normal)


def auprc(label_B: BoolArray, score_B: FloatArray) -> float:
    """Average precision: precision at each threshold weighted by the recall it adds.

    (Davis and Goadrich, ICML 2006, without interpolation.) NaN when there is no anomalous window.
    """
    if not label_B.any():
        return math.nan
    order = np.argsort(-score_B, kind="stable")
    hits = np.cumsum(label_B[order])
    # Windows of equal score enter together: only the last of each run is a threshold.
    last = np.flatnonzero(np.append(np.diff(score_B[order]) != 0, True))
    precision = hits[last] / (last + 1)
    gained = np.diff(hits[last], prepend=0) / hits[-1]
    return min(float(np.sum(precision * gained)), 1.0)  # the sum rounds past 1


def precision_recall_f1(label_B: BoolArray, anomaly_B: BoolArray) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean; 0 where nothing was flagged or nothing found."""
    found = int((label_B & anomaly_B).sum())
    precision = found / max(int(anomaly_B.sum()), 1)
    recall = found / max(int(label_B.sum()), 1)
    total = precision + recall
    return precision, recall, (2 * precision * recall / total if total else 0.0)


def false_alarm_band(
    calibration_rows: int, normal_rows: int, alpha: float, coverage: float = 0.95
) -> tuple[float, float]:
    """Between which shares of false alarms a conformal threshold at `alpha` falls on new rows.

    With k = ceil((n + 1)(1 - alpha)), the false alarms among m exchangeable normal rows follow a
    beta-binomial law with parameters m, n + 1 - k and k (Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012; Marques, "Universal distribution of the empirical coverage
    in split conformal prediction", 2023). The band is its central `coverage`, as shares. With too
    few calibration rows for `alpha` there is no law, and the band is (0, 1).
    """
    from scipy.stats import betabinom  # 2.5 s to import, and only the training run needs it

    rank = conformal_rank(calibration_rows, alpha)
    if rank > calibration_rows or normal_rows == 0:
        return 0.0, 1.0
    law = betabinom(normal_rows, calibration_rows + 1 - rank, rank)
    low, high = law.ppf((1 - coverage) / 2), law.ppf((1 + coverage) / 2)
    return float(low) / normal_rows, float(high) / normal_rows
