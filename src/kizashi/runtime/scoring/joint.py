"""Several scorers as one: each says how many times its usual score a window has."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, Scorer

SMALLEST = 1e-30
LARGEST_LOGARITHM = 700.0
"""Keeps the score finite."""


class JointScore(Scorer):
    """The geometric mean of the parts' scores, each over its median on normal windows.

    1 is a typical normal window. In a product no part drowns the others, whatever its unit, and
    nothing but a median is estimated. Parts weigh the same, but for one that has a `weight` of
    its own: the others share the rest. A sensor's contribution is the mean of its shares in
    the parts, weighted alike. A part that does not apply to the windows that it was fitted on is
    left out.

    Raises ConfigurationError without a part, and in `fit` where none of them applies.
    """

    kind = "joint"

    def __init__(self, parts: Sequence[Scorer]) -> None:
        if not parts:
            raise ConfigurationError("a joint score has no parts; at least one scorer is needed")
        self.given = tuple(parts)
        self.parts = self.given
        """Those that apply."""
        self.needs_network = any(part.needs_network for part in self.parts)
        self._usual: float | None = None
        """The weighted mean logarithm of the parts' medians."""
        self._weights = _weights(self.parts)

    def fit(self, seen: Rebuilt) -> Self:
        self.parts = tuple(part for part in self.given if part.fit(seen).applies)
        if not self.parts:
            kinds = ", ".join(part.kind for part in self.given)
            raise ConfigurationError(f"a joint score of {kinds}: no part applies to this data")
        self._weights = _weights(self.parts)
        medians = [np.median(part.seen_scores(seen)) for part in self.parts]
        self._usual = float(np.dot(self._weights, np.log(np.maximum(medians, SMALLEST))))
        return self

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        return self._joined([part.score(rebuilt) for part in self.parts])

    def score_one(self, rebuilt: Rebuilt) -> float:
        total = 0.0
        for part, weight in zip(self.parts, self._weights, strict=True):
            total += weight * math.log(max(part.score_one(rebuilt), SMALLEST))
        return math.exp(min(total - self._fitted, LARGEST_LOGARITHM))

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        scores, shares = zip(*(part.explain(rebuilt) for part in self.parts), strict=True)
        share_BF: FloatArray = np.average(shares, axis=0, weights=self._weights)
        return self._joined(scores), share_BF

    def score_without(self, rebuilt: Rebuilt, learned_BTF: FloatArray) -> FloatArray:
        return self._joined([part.score_without(rebuilt, learned_BTF) for part in self.parts])

    def settle(
        self, filled_BTF: FloatArray, missing_BTF: npt.NDArray[np.bool_], scaler: Scaler
    ) -> FloatArray:
        for part in self.parts:
            filled_BTF = part.settle(filled_BTF, missing_BTF, scaler)
        return filled_BTF

    def nearest(self, rebuilt: Rebuilt) -> FloatArray | None:
        found = (part.nearest(rebuilt) for part in self.parts)
        return next((nearest for nearest in found if nearest is not None), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "parts": {str(k): part.to_dict() for k, part in enumerate(self.parts)},
            "usual": self._usual,
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        parts = stored["parts"]
        scorer = cls([any_scorer(parts[str(k)]) for k in range(len(parts))])
        scorer._usual = float(stored["usual"])
        return scorer

    @property
    def _fitted(self) -> float:
        if self._usual is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return self._usual

    def _joined(self, scores: Sequence[FloatArray]) -> FloatArray:
        total_B = sum(
            weight * np.log(np.maximum(score_B, SMALLEST))
            for score_B, weight in zip(scores, self._weights, strict=True)
        )
        joined_B: FloatArray = np.exp(np.minimum(total_B - self._fitted, LARGEST_LOGARITHM))
        return joined_B


def _weights(parts: Sequence[Scorer]) -> list[float]:
    """What each part weighs; they sum to 1."""
    left = 1.0 - sum(part.weight for part in parts if part.weight is not None)
    equal = left / max(1, sum(part.weight is None for part in parts))
    weights = [equal if part.weight is None else part.weight for part in parts]
    whole = sum(weights)
    return [weight / whole for weight in weights]
