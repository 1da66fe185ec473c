"""Scores for tests of thresholds."""

import math

import numpy as np
import numpy.typing as npt

from kizashi.runtime.thresholds import CalibrationScores

FloatArray = npt.NDArray[np.float64]


def with_labels(scores: FloatArray) -> CalibrationScores:
    """The scores as those of normal windows, and 400 labelled ones: the last 100 are faulty and
    score twice what normal ones do."""
    normal = np.random.default_rng(3).choice(scores, 300)
    faulty = 2 * np.random.default_rng(4).choice(scores, 100)
    labels = np.arange(400) >= 300
    return CalibrationScores(
        scores, labelled_scores=np.concatenate([normal, faulty]), labels=labels
    )


def dependent(rows: int, follows: float, rng: np.random.Generator) -> FloatArray:
    """Scores with the standard normal law, each `follows` times the one before and a new part."""
    new = rng.normal(size=rows + 300) * math.sqrt(1 - follows**2)
    scores = np.empty_like(new)
    last = 0.0
    for place, part in enumerate(new):
        scores[place] = last = follows * last + part
    return scores[300:]
