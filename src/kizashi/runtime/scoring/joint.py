"""Several scorers as one: each says how many times its usual score a window has."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scoring.rarity import StateRarity
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, Scorer

SMALLEST = 1e-30
LARGEST_LOGARITHM = 700.0
"""Keeps the score finite."""


class JointScore(Scorer):
    """The geometric mean of the parts' scores, each over its median on normal windows.

    1 is a typical normal window. In a product no part drowns the others, whatever its unit, and
    nothing but a median is estimated. A sensor's contribution is the mean of its shares in the
    parts. With `rarity`, how rare a window's states are is one more part wherever every sensor that
    moved in training is on/off (`StateRarity`), and nowhere else.

    Raises ConfigurationError without a part.
    """

    kind = "joint"

    def __init__(self, parts: Sequence[Scorer], rarity: bool = False) -> None:
        if not parts:
            raise ConfigurationError("a joint score has no parts; at least one scorer is needed")
        self.parts = list(parts)
        self.rarity = rarity
        self._joining = self.parts
        """The parts, and rarity where it applies."""
        self.needs_network = any(part.needs_network for part in self.parts)
        self._usual: float | None = None
        """The mean logarithm of the parts' medians."""

    def fit(self, seen: Rebuilt) -> Self:
        states = StateRarity()
        applies = self.rarity and states.fit(seen).applies
        self._joining = [*self.parts, states] if applies else self.parts
        medians = [np.median(part.fit(seen).seen_scores(seen)) for part in self._joining]
        self._usual = float(np.mean(np.log(np.maximum(medians, SMALLEST))))
        return self

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        return self._joined([part.score(rebuilt) for part in self._joining])

    def score_one(self, rebuilt: Rebuilt) -> float:
        total = 0.0
        for part in self._joining:
            total += math.log(max(part.score_one(rebuilt), SMALLEST))
        return math.exp(min(total / len(self._joining) - self._fitted, LARGEST_LOGARITHM))

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        scores, shares = zip(*(part.explain(rebuilt) for part in self._joining), strict=True)
        share_BF: FloatArray = np.mean(shares, axis=0)
        return self._joined(scores), share_BF

    def score_without(self, rebuilt: Rebuilt, learned_BTF: FloatArray) -> FloatArray:
        return self._joined([part.score_without(rebuilt, learned_BTF) for part in self._joining])

    def nearest(self, rebuilt: Rebuilt) -> FloatArray | None:
        found = (part.nearest(rebuilt) for part in self.parts)
        return next((nearest for nearest in found if nearest is not None), None)

    def to_dict(self) -> dict[str, Any]:
        stored: dict[str, Any] = {
            "kind": self.kind,
            "parts": {str(k): part.to_dict() for k, part in enumerate(self.parts)},
            "usual": self._usual,
        }
        for states in self._joining[len(self.parts) :]:
            stored["states"] = states.to_dict()
        return stored

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        parts, states = stored["parts"], stored.get("states")
        scorer = cls([any_scorer(parts[str(k)]) for k in range(len(parts))], states is not None)
        if states is not None:
            scorer._joining = [*scorer.parts, StateRarity.restore(states, any_scorer)]
        scorer._usual = float(stored["usual"])
        return scorer

    @property
    def _fitted(self) -> float:
        if self._usual is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return self._usual

    def _joined(self, scores: Sequence[FloatArray]) -> FloatArray:
        total_B = sum(np.log(np.maximum(score_B, SMALLEST)) for score_B in scores)
        joined_B: FloatArray = np.exp(
            np.minimum(total_B / len(scores) - self._fitted, LARGEST_LOGARITHM)
        )
        return joined_B
