"""The scores of labelled rows in a few hundred characters: what any threshold would find of them.

A run and its version carry them as a tag, so that a service, which has no labelled rows, can say
what another threshold would mean for precision and recall.
"""

import json

import numpy as np
import numpy.typing as npt

from kizashi.data.labelled import LabelledRows
from kizashi.runtime.calibration import ROUNDING
from kizashi.runtime.detector import Detector

FloatArray = npt.NDArray[np.float64]

LABELLED_SCORES = "labelled_scores"
"""The tag."""
POINTS = 60
"""Of each class; between them counts are told by a straight line."""


def labelled_scores(detector: Detector, labelled: LabelledRows) -> str:
    """JSON with the columns `score`, which ascends from 0, and how many `faulty` and how many
    `normal` rows would be anomalies with a threshold there; `faulty_rows` and `normal_rows` are how
    many there are.

    The rows are those that `evaluate` measures. A row with a reading beyond its instrument's limits
    is an anomaly at any threshold.
    """
    windows_BTF, label_B = labelled.windows(detector.contract.window_length)
    score_B = detector.score(windows_BTF)
    beyond_B = detector.contract.out_of_range(windows_BTF).any(axis=(1, 2))
    score_B = np.where(beyond_B, np.inf, score_B)
    faulty, normal = np.sort(score_B[label_B]), np.sort(score_B[~label_B])
    value = detector.threshold.value
    beyond = 1.001 * score_B[np.isfinite(score_B)].max(initial=0.0)
    points = np.concatenate([[0.0, value, beyond], _spread(faulty), _rarest(normal)])
    points = np.unique([float(f"{point:.4g}") for point in points if np.isfinite(point)])
    # The threshold itself is told exactly, whatever else is rounded.
    points = np.unique(np.where(points == float(f"{value:.4g}"), value, points))
    told = {
        "faulty_rows": len(faulty),
        "normal_rows": len(normal),
        "score": points.tolist(),
        "faulty": _above(faulty, points),
        "normal": _above(normal, points),
    }
    return json.dumps(told, separators=(",", ":"))


def _spread(scores: FloatArray) -> FloatArray:
    """Scores at even ranks."""
    if not len(scores):
        return scores
    return scores[np.linspace(0, len(scores) - 1, POINTS).astype(np.intp)]


def _rarest(scores: FloatArray) -> FloatArray:
    """Scores at ranks that lie ever closer towards the largest: there thresholds are."""
    if not len(scores):
        return scores
    ranks = np.geomspace(1, len(scores), POINTS).astype(np.intp)
    return scores[len(scores) - ranks]


def _above(scores: FloatArray, points: FloatArray) -> list[int]:
    limits = points * (1 + ROUNDING)  # as a detector decides
    counts: list[int] = (len(scores) - np.searchsorted(scores, limits, side="right")).tolist()
    return counts
