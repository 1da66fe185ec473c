"""How much rows that follow one another depend on each other: rows in effect, and their law."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

FOLLOWED = 100
"""Exceedances that an autocorrelation is taken from, at least, as long as half of the rows hold
them: with fewer it is too short by chance."""
DEPENDENT = 1.5
"""The `dependence` from which on rows are taken to depend on one another: chance alone rarely
makes independent rows look so."""


def dependence(scores: FloatArray, alpha: float) -> float:
    """The number of consecutive rows that tell as much of the share `alpha` of exceedances as one
    independent row would, from 1; `scores` are in order of time.

    The integrated autocorrelation time of the indicator of exceeding a level somewhat lower than
    the one that a share `alpha` exceeds: at twice that share, and with FOLLOWED exceedances. What
    rows below that do among themselves does not count, and further out dependence cannot be
    measured; where it weakens there, as it does in Gaussian series, it is overstated.
    """
    share = min(0.5, max(2 * alpha, FOLLOWED / len(scores)))
    return max(1.0, autocorrelation_time(scores > np.quantile(scores, 1 - share)))


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


def independent_rows(blocks: Sequence[FloatArray]) -> float:
    """How many independent rows tell as much as the values of these blocks, from 1.

    n / (1 + 2 (sum of the autocorrelations)), each block around its own mean: what differs between
    blocks is how far the machine wandered, which the scores of blocks that were left out of the fit
    show already. The sum ends before the first lag that is not positive, and at half a block: the
    blocks are short. A block with less than half of the usual number of values, to which pauses
    left few windows, does not end it.
    """
    centred = [block - block.mean() for block in blocks]
    every = np.concatenate(centred)
    variance = float(np.mean(every**2))
    if variance == 0:
        return 1.0
    time, lengths = 1.0, [len(block) for block in blocks]
    shortest = min(length for length in lengths if 2 * length >= median(lengths))
    for lag in range(1, shortest // 2):
        product = np.concatenate([block[lag:] * block[:-lag] for block in centred]).mean()
        if product <= 0:
            break
        time += 2 * float(product) / variance
    return len(every) / time


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
