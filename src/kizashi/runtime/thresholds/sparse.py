"""The threshold from scores that belong to few independent rows: a rank, or a tail that allows for
not being known well."""

import math

import numpy as np
import numpy.typing as npt

from kizashi.runtime.calibration import conformal_rank

FloatArray = npt.NDArray[np.float64]

TAIL = 0.2
"""Share of the scores that the tail is fitted to."""
TERMS = 1000
"""Of a series that needs a few times the root of the degrees of freedom that it is for."""
LARGEST_LOGARITHM = 690.0
"""Keeps the threshold a number where the tail says nothing any more."""


def rank_value(ordered: FloatArray, alpha: float, independent: float) -> float:
    """The score of the conformal rank for this many independent rows, taken as a level among all.

    There must be at least `fewest_rows(alpha)` of them.
    """
    share = alpha - (1 - alpha) / independent  # (1 - alpha)(n + 1) / n, from above
    rank = min(conformal_rank(len(ordered) - 1, max(0.0, share)), len(ordered))
    return float(ordered[rank - 1])


class SparseTail:
    """The tail of scores as Pareto, that is the tail of their logarithms as exponential (Hill, Ann.
    Stat. 3, 1975), above the share TAIL, known from m = TAIL n independent exceedances.

    A new score passes u + m b ((TAIL / alpha)^(1 / m) - 1), in logarithms, with probability alpha
    over both the new row and the estimate of the mean excess b: the law of an exponential value
    over an independent mean of m others is Lomax's. With a `confidence` the rate itself is at most
    alpha that often: u + b' ln(TAIL / alpha) with the upper limit b' of b, as m times its estimate
    over b follows a gamma law of shape m. For m to infinity both
    are the plain quantile u + b ln(TAIL / alpha), so the margin follows from m alone. Where scores
    reach down to 0 they are taken as they are, instead of their logarithms.
    """

    def __init__(
        self, ordered: FloatArray, independent: float, confidence: float | None = None
    ) -> None:
        self._positive = bool(ordered[0] > 0)
        self._confidence = confidence
        values = np.log(ordered) if self._positive else ordered
        above = max(1, math.ceil(TAIL * len(values)))
        start = max(0, len(values) - above - 1)
        self._start = float(values[start])
        self._scale = float(np.mean(values[-above:]) - self._start)
        self._share = above / len(values)
        self._exceedances = max(1.0, TAIL * independent)

    @property
    def name(self) -> str:
        law = "Pareto tail" if self._positive else "exponential tail"
        return f"{law}, {'predictive' if self._confidence is None else 'upper limit'}"

    def quantile(self, alpha: float) -> float:
        """The score that a new row exceeds with probability `alpha`, not below the tail's start."""
        m, ratio = self._exceedances, max(1.0, self._share / alpha)
        if self._confidence is None:
            excesses = m * (ratio ** (1 / m) - 1)
        else:
            excesses = m / lower_gamma_quantile(1 - self._confidence, m) * math.log(ratio)
        value = self._start + excesses * self._scale
        return math.exp(min(value, LARGEST_LOGARITHM)) if self._positive else value


def lower_gamma_quantile(share: float, shape: float) -> float:
    """The value below which `share`, at most half, of a gamma law of unit scale lies.

    By bisection of the series of the incomplete gamma function (Abramowitz and Stegun, "Handbook of
    Mathematical Functions", 6.5.29).
    """
    low, high = 0.0, shape  # the median of a gamma law is below its mean
    for _ in range(60):
        middle = (low + high) / 2
        factors = np.cumprod(middle / (shape + np.arange(1, TERMS)))
        logarithm = shape * math.log(middle) - middle - math.lgamma(shape + 1)
        if logarithm + math.log1p(float(factors.sum())) < math.log(share):
            low = middle
        else:
            high = middle
    return high
