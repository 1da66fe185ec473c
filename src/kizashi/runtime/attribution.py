"""Which sensor is it? What the score would be if a sensor read as the others tell."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

CANDIDATES = 8
"""Sensors of a window that are looked at, those that the scorer blames most: each costs a score."""


def counterfactual(
    share_BF: FloatArray,
    score_B: FloatArray,
    score_without: Callable[[npt.NDArray[np.intp]], FloatArray],
) -> FloatArray:
    """The shares (B, F) with the blame of the most blamed sensors divided anew among them: by how
    far the logarithm of the score falls when that sensor's values are replaced by what the other
    sensors tell. `score_without` gives the scores when one sensor, named for each window, is
    replaced.

    The residual points away from where normal rows lie, and not along the sensor that moved there:
    on a surface that couples sensors it blames all of them. A sensor that is at fault alone is the
    one whose replacement makes the row normal (a counterfactual explanation: Wachter, Mittelstadt
    and Russell, Harv. J. Law Technol. 31, 2018). Windows for which no replacement helps keep the
    shares that they have.
    """
    count = min(CANDIDATES, share_BF.shape[1])
    most_BC = np.argsort(-share_BF, axis=1, kind="stable")[:, :count]
    fall_BC = np.empty(most_BC.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        for place in range(count):
            without_B = score_without(most_BC[:, place])
            fall_BC[:, place] = np.log(score_B) - np.log(without_B)
    fall_BC = np.clip(np.nan_to_num(fall_BC, posinf=700.0), 0.0, None)
    total_B1 = fall_BC.sum(axis=1, keepdims=True)
    blame_B1 = np.take_along_axis(share_BF, most_BC, axis=1).sum(axis=1, keepdims=True)
    divided_BC = np.take_along_axis(share_BF, most_BC, axis=1)
    np.divide(fall_BC * blame_B1, total_B1, out=divided_BC, where=total_B1 > 0)
    shared_BF = share_BF.copy()
    np.put_along_axis(shared_BF, most_BC, divided_BC, axis=1)
    return np.minimum(shared_BF, 1.0)  # rounding may leave one a little above
