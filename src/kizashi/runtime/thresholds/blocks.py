"""The threshold for rows that depend on one another."""

import math
from itertools import accumulate, pairwise
from statistics import NormalDist

import numpy as np

from kizashi.errors import ConfigurationError
from kizashi.runtime.calibration import ExponentialTail, conformal_rank, fewest_rows
from kizashi.runtime.thresholds.dependence import (
    dependence,
    independent_rows,
    rows_allowed_above,
)
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.rate import RateThreshold
from kizashi.runtime.thresholds.rule import BLOCKS, EXPONENTIAL_TAIL, FALLBACK
from kizashi.runtime.thresholds.sparse import SparseTail, rank_value

HELD_OUT_CONFIDENCE = 0.9
"""Of the margin from one held-out part where none is asked for."""


class BlocksThreshold(RateThreshold):
    """A threshold with a margin for rows that follow, and depend on, one another.

    n such rows tell as little of rare scores as n / `dependence` independent ones, the rows in
    effect. From one held-out part in time the threshold is the calibration score that at most a
    share `alpha` of normal rows exceeds with this `confidence`, HELD_OUT_CONFIDENCE without one,
    had that many independent rows been seen. The margin covers the chance of the calibration rows;
    that normal rows stay as they were is not covered, and only a measurement on later rows can
    tell.

    With too few rows in effect there is no such score: the fitted exponential tail, with the same
    confidence in its start and its scale, stands in, and `warning` says so.

    Scores of blocks that were left out of the fit in turn (cross-fitting) show in addition how far
    normal rows wander from one block to others. They are worth `independent_rows`. Without a
    `confidence` the threshold is their score of the conformal rank for that many, else a predictive
    tail: the rate over calibrations as well as rows. With one it is the score, or the limit of the
    tail, that keeps the rate this often, as above: fewer false alarms, and more that is missed.

    Raises ConfigurationError for a confidence outside 0.5 to 1.
    """

    kind = "blocks"

    def __init__(
        self,
        alpha: float | None = None,
        alarms_per_day: float | None = None,
        sampling_period: float | None = None,
        confidence: float | None = None,
    ) -> None:
        super().__init__(alpha, alarms_per_day, sampling_period)
        if confidence is not None and not 0.5 <= confidence < 1:
            raise ConfigurationError(
                f"the confidence is {confidence!r}; a number from 0.5 and below 1 is needed"
            )
        self.confidence = confidence
        self.settings |= {"confidence": confidence}

    def _fit(self, evidence: CalibrationScores) -> float:
        if evidence.blocks:
            return self._from_blocks(evidence)
        confidence = HELD_OUT_CONFIDENCE if self.confidence is None else self.confidence
        length = dependence(evidence.scores, self.alpha) if evidence.in_time else 1.0
        effective = max(1, math.floor(len(evidence) / length))
        self.details = {
            "dependent_rows": length,
            "effective_rows": effective,
            "confidence": confidence,
        }
        allowed = rows_allowed_above(effective, self.alpha, confidence)
        if allowed == 0:
            return self._from_tail(evidence, effective, confidence)
        self.guarantee = (
            f"at most {self.alpha:.4%} of normal rows with {confidence:.0%} confidence, as "
            f"long as they stay as they were; from {len(evidence)} calibration rows worth "
            f"{effective} independent ones, which is measured and not promised"
        )
        return self._ranked(evidence, allowed, effective)

    def _ranked(self, evidence: CalibrationScores, allowed: int, effective: int) -> float:
        """The score with `allowed` of the rows in effect at or above it."""
        share = allowed / (effective + 1)
        self.details["share_above"] = share
        rank = min(conformal_rank(len(evidence), share), len(evidence))
        return float(evidence.ordered[rank - 1])

    def _from_blocks(self, evidence: CalibrationScores) -> float:
        """From scores of blocks, each by a fit without it."""
        independent = _worth(evidence) if evidence.in_time else float(len(evidence))
        rows, blocks, confidence = len(evidence), len(evidence.blocks), self.confidence
        effective = math.floor(independent)
        self.details = {
            BLOCKS: blocks,
            "dependent_rows": rows / independent,
            "effective_rows": effective,
        }
        often = ""
        if confidence is not None:
            self.details["confidence"] = confidence
            often = f" with {confidence:.0%} confidence"
        seen = (
            f"{rows} calibration rows in {blocks} blocks, each scored by a fit without it, worth "
            f"{effective} independent ones; as long as normal rows wander no further than those did"
        )
        needed = fewest_rows(self.alpha) if confidence is None else _needed(self.alpha, confidence)
        if independent >= needed:
            asked = "about" if confidence is None else "at most"
            self.guarantee = f"none: {asked} {self.alpha:.4%} of normal rows{often}, from {seen}"
            if confidence is None:
                return rank_value(evidence.ordered, self.alpha, independent)
            allowed = rows_allowed_above(effective, self.alpha, confidence)
            return self._ranked(evidence, allowed, effective)
        tail = SparseTail(evidence.ordered, independent, confidence)
        self.details |= {FALLBACK: tail.name, "needed_rows": needed}
        self.guarantee = f"none: {tail.name}{often}, with a margin for its estimate, from {seen}"
        self.warning = (
            f"a conformal threshold at {self.alpha:.4%}{often} needs at least {needed} independent "
            f"calibration rows, and the {rows} that follow one another are worth {effective}; the "
            f"fallback '{tail.name}' is used, without a guarantee"
        )
        return tail.quantile(self.alpha)

    def _from_tail(self, evidence: CalibrationScores, effective: int, confidence: float) -> float:
        """The exponential tail at `alpha`, its share and scale each at its upper limit."""
        needed = _needed(self.alpha, confidence)
        self.details |= {FALLBACK: EXPONENTIAL_TAIL, "needed_rows": needed}
        self.guarantee = (
            f"none: exponential tail fitted to the largest scores of {len(evidence)} calibration "
            f"rows, with a margin for the {effective} independent ones that they are worth"
        )
        self.warning = (
            f"a threshold at {self.alpha:.4%} with {confidence:.0%} confidence needs at least "
            f"{needed} independent calibration rows, and the {len(evidence)} that follow one "
            f"another are worth {effective}; the fallback '{EXPONENTIAL_TAIL}' is used, without a "
            "guarantee"
        )
        tail, deviations = ExponentialTail(evidence.scores), NormalDist().inv_cdf(confidence)
        spread = math.sqrt(tail.share * (1 - tail.share) / effective)
        share = min(1.0, tail.share + deviations * spread)
        scale = tail.scale * (1 + deviations / math.sqrt(max(1.0, effective * tail.share)))
        return max(tail.start, tail.start + scale * math.log(share / self.alpha))


def _needed(alpha: float, confidence: float) -> int:
    """The fewest independent rows whose largest score at most a share `alpha` of new rows exceeds
    with this confidence: (1 - alpha) ** n <= 1 - confidence."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-alpha) - 1e-9)


def _worth(evidence: CalibrationScores) -> float:
    """`independent_rows` of the logarithms, which a few high scores do not rule, where all scores
    have one."""
    scores = evidence.scores
    values = np.log(scores) if evidence.ordered[0] > 0 else scores
    edges = [0, *accumulate(evidence.blocks)]
    return independent_rows([values[first:last] for first, last in pairwise(edges)])
