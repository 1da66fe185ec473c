"""Several scorers as one: each says how many times its usual score a window has."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, Scorer

SMALLEST_SPREAD = 0.05
SMALLEST = 1e-30
LARGEST_LOGARITHM = 700.0
"""Keeps the score finite."""


class JointScore(Scorer):
    """The weighted geometric mean of the parts' scores, each over its median on normal windows.

    A part weighs the more the less its logarithm varies among normal windows: the logarithm of the
    result is the sum of the parts' standardised ones, so none drowns the others (the normalisation
    by Gaussian scaling of Kriegel et al., "Interpreting and unifying outlier scores", SDM 2011,
    taken in logarithms). 1 is a typical normal window. A sensor's contribution is the weighted mean
    of its shares in the parts. Raises ConfigurationError without a part.
    """

    kind = "joint"

    def __init__(self, parts: Sequence[Scorer]) -> None:
        if not parts:
            raise ConfigurationError("a joint score has no parts; at least one scorer is needed")
        self.parts = list(parts)
        self.needs_network = any(part.needs_network for part in self.parts)
        self._median_K: FloatArray | None = None
        self._weight_K: FloatArray | None = None
        self._usual = 0.0

    def fit(self, seen: Rebuilt) -> Self:
        median, spread = [], []
        for part in self.parts:
            logarithm_B = np.log(np.maximum(part.fit(seen).seen_scores(seen), SMALLEST))
            median.append(float(np.median(logarithm_B)))
            spread.append(max(float(logarithm_B.std()), SMALLEST_SPREAD))
        weight_K = 1 / np.array(spread)
        self._settle(np.array(median), weight_K / weight_K.sum())
        return self

    def _settle(self, median_K: FloatArray, weight_K: FloatArray) -> None:
        self._median_K, self._weight_K = median_K, weight_K
        self._usual = float(weight_K @ median_K)

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        return self._joined([part.score(rebuilt) for part in self.parts])

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        scores, shares = zip(*(part.explain(rebuilt) for part in self.parts), strict=True)
        share_BF: FloatArray = np.tensordot(self._weights, np.stack(shares), axes=1)
        return self._joined(scores), share_BF

    def score_without(self, rebuilt: Rebuilt, learned_BTF: FloatArray) -> FloatArray:
        return self._joined([part.score_without(rebuilt, learned_BTF) for part in self.parts])

    def nearest(self, rebuilt: Rebuilt) -> FloatArray | None:
        found = (part.nearest(rebuilt) for part in self.parts)
        return next((nearest for nearest in found if nearest is not None), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "parts": {str(k): part.to_dict() for k, part in enumerate(self.parts)},
            "median": self._median_K,
            "weight": self._weight_K,
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        parts = stored["parts"]
        scorer = cls([any_scorer(parts[str(k)]) for k in range(len(parts))])
        scorer._settle(stored["median"], stored["weight"])
        return scorer

    @property
    def _weights(self) -> FloatArray:
        if self._weight_K is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return self._weight_K

    def _joined(self, scores: Sequence[FloatArray]) -> FloatArray:
        weights, usual = self._weights.tolist(), self._usual
        if len(scores[0]) == 1:  # Python's numbers are the faster ones for a single window
            logarithms = [math.log(max(float(score_B[0]), SMALLEST)) for score_B in scores]
            total = sum(map(operator.mul, weights, logarithms)) - usual
            return np.array([math.exp(min(total, LARGEST_LOGARITHM))])
        total_B = np.zeros(len(scores[0])) - usual
        for weight, score_B in zip(weights, scores, strict=True):
            total_B += weight * np.log(np.maximum(score_B, SMALLEST))
        joined_B: FloatArray = np.exp(np.minimum(total_B, LARGEST_LOGARITHM))
        return joined_B
