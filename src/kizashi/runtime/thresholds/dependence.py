"""How much rows that follow one another depend on each other: rows in effect, and their law."""

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LEVELS = (0.5, 0.1)
"""The shares of rows whose exceedances are followed. Dependence grows weaker further out in the
tail, where it cannot be measured, so the rates that are asked for are met with some to spare."""


def dependence(scores: FloatArray) -> float:
    """The number of consecutive rows that tell as much of a share of exceedances as one
    independent row would, from 1; `scores` are in order of time.

    The integrated autocorrelation time of the indicators of exceeding a level, the longest over
    LEVELS.
    """
    times = [autocorrelation_time(scores > np.quantile(scores, 1 - share)) for share in LEVELS]
    return max(1.0, *times)


def autocorrelation_time(values: npt.ArrayLike) -> float:
    """1 + 2 (sum of the autocorrelations), summed over pairs of lags while they are positive.

    The initial positive sequence of Geyer, "Practical Markov chain Monte Carlo", Statist. Sci. 7
    (1992). Constant values give 1.
    """
    centred = np.asarray(values, dtype=np.float64)
    centred = centred - centred.mean()
    rows = len(centred)
    variance = float(np.mean(centred**2))
    if variance == 0 or rows < 4:
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * rows)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, 2 * rows)[:rows] / rows / variance
    half = rows // 2
    pairs = correlation[0 : 2 * half : 2] + correlation[1 : 2 * half : 2]
    negative = np.flatnonzero(pairs <= 0)
    kept = pairs[: negative[0]] if len(negative) else pairs
    return float(2 * kept.sum() - 1)


def rows_allowed_above(rows: int, alpha: float, confidence: float) -> int:
    """The most of `rows` independent calibration scores that may lie at or above a threshold which
    a share of at most `alpha` of new rows exceeds, with this confidence; 0 where even the largest
    score is no such threshold.

    The share above the m-th largest of n scores follows a Beta law with parameters m and n + 1 - m,
    and P(Beta <= alpha) = P(Binomial(n, alpha) >= m): the training-conditional law of split
    conformal prediction (Vovk, "Conditional validity of inductive conformal predictors", 2012).
    """
    fewer = np.arange(math.ceil(rows * alpha) + 1)
    ratios = (rows - fewer[1:] + 1) / fewer[1:] * alpha / (1 - alpha)
    first = rows * math.log1p(-alpha)
    log_share = first + np.concatenate([[0.0], np.cumsum(np.log(np.maximum(ratios, 1e-300)))])
    below = np.cumsum(np.exp(log_share))  # P(Binomial <= m - 1) for m = 1, 2, ...
    return int(np.count_nonzero(below <= 1 - confidence))
