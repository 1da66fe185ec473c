"""How far apart normal windows lie at a place: what a distance there has to be compared with."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

FURTHEST_IN = 1e-3
"""Of the median distance from the middle: nearer counts as this, so that it has a logarithm."""


def resolution(values_PV: npt.NDArray[np.floating]) -> float:
    """The uncertainty, per value, of distances between windows whose sensors read in steps.

    A reading in steps of Δ is uncertain by Δ / √12 (JCGM 100:2008, "Guide to the expression of
    uncertainty in measurement", F.2.2.1), and by no more than it varies: steps are the smallest
    between values that occur. Near 0 where a sensor may read anything.
    """
    ordered_PV = np.sort(values_PV.astype(np.float64), axis=0)
    step_PV = np.diff(ordered_PV, axis=0)
    step_V = np.where(step_PV > 0, step_PV, np.inf).min(axis=0, initial=np.inf)
    variance_V = ordered_PV.var(axis=0)
    return float(np.sqrt(np.minimum(step_V**2 / 12, variance_V).mean()))


def without_thinning(spacing_P: FloatArray, values_PV: npt.NDArray[np.floating]) -> FloatArray:
    """The spacing at each of windows, less what their distance from the middle explains.

    In a single crowd windows thin out with the distance from its middle, and to lie far out is
    strange, so that much must not be made up for; in several crowds the distance explains little.
    What it explains is the regression of the logarithms, as far as its R² goes. Windows never lie
    more densely for being far out: a slope below 0 counts as 0.
    """
    values_PV = values_PV.astype(np.float64)
    far_P = np.sqrt(np.mean((values_PV - values_PV.mean(axis=0)) ** 2, axis=1))
    far_P = np.log(np.maximum(far_P, max(FURTHEST_IN * float(np.median(far_P)), 1e-30)))
    far_P -= far_P.mean()
    spread, logarithm_P = float(far_P @ far_P), np.log(spacing_P)
    logarithm_P = logarithm_P - logarithm_P.mean()
    varied = float(logarithm_P @ logarithm_P)
    if spread <= 0 or varied <= 0:
        return spacing_P
    together = max(float(far_P @ logarithm_P), 0.0)
    slope, share = together / spread, together**2 / (spread * varied)
    thinned_P: FloatArray = spacing_P * np.exp(-slope * share * far_P)
    return thinned_P
