"""Calibration: scores of normal windows that the network never saw turn a score into a p-value.

The p-value is exact as long as new normal rows are exchangeable with the calibration rows. It
cannot be smaller than 1 / (n + 1); beyond that a fitted tail tells two extreme scores apart.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kizashi.errors import DataError

FloatArray = npt.NDArray[np.float64]

TAIL_SHARE = 0.1
"""The largest share of calibration scores that the tail is fitted to."""

SEVERITY_HALF = 3.0
"""A score that one normal window in 10 ** SEVERITY_HALF reaches has severity 0.5."""

ROUNDING = 1e-6
"""Of the threshold: a window is rounded otherwise alone than among others. Where normal rows repeat
one another, many have the very score that is the threshold, and rounding must not decide."""

_ROUNDING = 1e-9
"""Keeps 0.9990000000000001 x 1000 from asking for one row more than there is."""


def conformal_rank(rows: int, alpha: float) -> int:
    """ceil((rows + 1)(1 - alpha)), from 1: the place in ascending order of the calibration score
    that at most a share `alpha` of exchangeable new rows exceeds.

    Split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
    World", 2005); the + 1 makes it exact for any law of scores. A rank above `rows` means that
    there is no such score.
    """
    return max(1, math.ceil((rows + 1) * (1 - alpha) - _ROUNDING))


def fewest_rows(alpha: float) -> int:
    """The fewest calibration rows among which the score of `conformal_rank` is one."""
    return math.ceil(1 / alpha - 1 - _ROUNDING)


class ExponentialTail:
    """The law of scores above a high one: log P(score > s) falls linearly in s.

    The generalised Pareto law of peaks over threshold (Pickands, "Statistical inference using
    extreme order statistics", Ann. Stat. 3, 1975) with shape 0, whose scale is the mean excess: it
    stays sensible with few rows, where a fitted shape does not.
    """

    def __init__(self, scores: FloatArray) -> None:
        ordered = np.sort(scores)
        above = max(1, round(TAIL_SHARE * len(ordered)))
        self.start = float(ordered[-above - 1]) if above < len(ordered) else float(ordered[0])
        self.share = above / len(ordered)
        excess = float(np.mean(ordered[-above:]) - self.start)
        self.scale = max(excess, 1e-9 * max(1.0, abs(self.start)))

    def log10_survival(self, score_B: FloatArray) -> FloatArray:
        """log10 of the share of normal windows above each score; valid from `start` on."""
        decades: FloatArray = np.log10(self.share) - (score_B - self.start) / (
            self.scale * np.log(10)
        )
        return decades

    def quantile(self, false_alarm_rate: float) -> float:
        """The score that this share of normal windows exceeds, for shares up to TAIL_SHARE."""
        return self.start + self.scale * float(np.log(self.share / false_alarm_rate))


class Calibration:
    """Calibration scores, in the order given, and what they make of a new score.

    `blocks` are the numbers of scores in each block of cross-fitting, empty for scores of one
    held-out part. Raises DataError when there is no score, or one that is not finite, and for
    blocks of another number of scores.
    """

    def __init__(self, scores: npt.ArrayLike, blocks: Sequence[int] = ()) -> None:
        self.scores: FloatArray = np.asarray(scores, dtype=np.float64)
        self.blocks = tuple(map(int, blocks))
        if len(self.scores) == 0:
            raise DataError("there are no calibration rows; a detector cannot be calibrated")
        if not np.isfinite(self.scores).all():
            raise DataError("a calibration score is not finite; the network or scaler is broken")
        if self.blocks and (min(self.blocks) < 1 or sum(self.blocks) != len(self.scores)):
            raise DataError(f"there are {len(self.scores)} scores and blocks of {self.blocks}")
        self._ordered = np.sort(self.scores)
        self.tail = ExponentialTail(self._ordered)

    def p_value(self, score_B: FloatArray) -> FloatArray:
        """(1 + number of calibration scores at least as large) / (n + 1), shape (B,).

        The conformal p-value of Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
        World" (2005), section 2.2.
        """
        n = len(self.scores)
        # A row's score rounds differently alone and among others: a tie must stay one.
        at_least = n - np.searchsorted(self._ordered, score_B * (1 - ROUNDING), side="left")
        return (1 + at_least) / (n + 1)

    def severity(self, score_B: FloatArray) -> FloatArray:
        """How far in the tail a score lies, 0 to 1, shape (B,).

        d / (d + SEVERITY_HALF), where 10 ** -d is the share of normal windows that reach the score:
        it depends on rarity alone, so it compares between models, and it still grows beyond the
        largest calibration score.
        """
        n = len(self.scores)
        above_B = n - np.searchsorted(self._ordered, score_B, side="right")
        within_B = np.log10((1 + above_B) / (n + 1))
        beyond_B = self.tail.log10_survival(np.maximum(score_B, self.tail.start))
        decades_B = -np.where(score_B > self.tail.start, beyond_B, within_B)
        # Below the tail the empirical share can say at most what the tail says at its start.
        ceiling = -np.log10(self.tail.share)
        decades_B = np.where(score_B > self.tail.start, decades_B, np.minimum(decades_B, ceiling))
        severity_B: FloatArray = np.maximum(decades_B, 0.0)
        return severity_B / (severity_B + SEVERITY_HALF)
