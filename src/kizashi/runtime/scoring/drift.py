"""The distance of a window's level and variability from where normal ones may wander."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Self

import numpy as np

from kizashi.errors import NotCalibrated
from kizashi.runtime.scoring.covariance import ledoit_wolf_covariance, whitening
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, SumOfSquares

QUIET = 0.1
"""Share of a sensor's training deviation below which less variability inside a window says
nothing; it also keeps the logarithm finite for a sensor that stands still."""
SMALLEST_DEVIATION = 1e-3
"""The least deviation of a feature, in training deviations of its sensor."""
AHEAD = 4 / 3
"""Drift is allowed for as far ahead as training reached: a random walk of step variance q, measured
from the mean of n rows, has variance q (h + n / 3) after h more rows; here h = n."""
MOST_LAGS = 16
BLOCKS = 8


class DriftDistance(SumOfSquares):
    """Mahalanobis distance of each sensor's mean and log deviation inside the window, under the
    covariance that normal windows may reach while they wander.

    The covariance is S + AHEAD n Q: S of the features around the level of their block in time
    (shrunk as Ledoit and Wolf do), Q by which the level wanders in one window's step, n steps.
    Directions that wander count little; relations between sensors that hold while they wander count
    fully, as in cointegration (Cross, Worden and Chen, Proc. R. Soc. A 467, 2011). Without drift,
    and with windows of one row, it is Hotelling's T². It needs no network.
    """

    kind = "drift_distance"
    needs_network = False

    def __init__(self) -> None:
        self._center_V: FloatArray | None = None
        self._whitening_VV: FloatArray | None = None

    def fit(self, seen: Rebuilt) -> Self:
        feature_NV = features(seen.scaled_BTF)
        length = seen.scaled_BTF.shape[1]
        within_NV = np.concatenate(
            [
                feature_NV[part] - feature_NV[part].mean(axis=0)
                for part in _blocks(len(feature_NV), length)
            ]
        )
        unit_V = np.maximum(within_NV.std(axis=0), SMALLEST_DEVIATION)
        covariance_VV = ledoit_wolf_covariance(within_NV / unit_V)
        reach = AHEAD * (len(feature_NV) + length - 1)
        covariance_VV += reach * drift_per_step(feature_NV / unit_V, length)
        self._center_V = feature_NV.mean(axis=0)
        self._whitening_VV = whitening(covariance_VV) / unit_V
        return self

    def squares(self, rebuilt: Rebuilt) -> FloatArray:
        if self._center_V is None or self._whitening_VV is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        feature_BV = features(rebuilt.scaled_BTF)
        square_BV = ((feature_BV - self._center_V) @ self._whitening_VV.T) ** 2
        sensors = rebuilt.scaled_BTF.shape[-1]
        square_BF: FloatArray = square_BV.reshape(
            len(square_BV), square_BV.shape[1] // sensors, sensors
        ).mean(axis=1)
        return square_BF

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self._center_V, "whitening": self._whitening_VV}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls()
        scorer._center_V, scorer._whitening_VV = stored["center"], stored["whitening"]
        return scorer


def features(scaled_BTF: FloatArray) -> FloatArray:
    """Each sensor's level and its log variability inside the window, shape (B, V)."""
    level_BF: FloatArray = scaled_BTF.mean(axis=1)
    if scaled_BTF.shape[1] == 1:
        return level_BF
    return np.concatenate([level_BF, np.log(scaled_BTF.std(axis=1) + QUIET)], axis=1)


def drift_per_step(feature_NV: FloatArray, length: int) -> FloatArray:
    """Covariance (V, V) by which the level of the features wanders from one window to the next.

    Half the mean product of differences h steps apart (the variogram: Matheron, "Principles of
    geostatistics", Econ. Geol. 58, 1963) is S + h Q / 2 for noise S around a random walk of step
    covariance Q, and flat where nothing drifts. The line is fitted over lags whose windows share no
    row, up to a quarter of the rows, with weight 1 / h because far lags have few independent pairs;
    what is negative in it is noise and cut off. Zero for single rows, and where rows are too few to
    see any drift.
    """
    steps, values = feature_NV.shape
    farthest = (steps + length - 1) // 4
    if length == 1 or farthest < 2 * length:
        return np.zeros((values, values))
    lags = np.unique(np.linspace(length, farthest, min(MOST_LAGS, farthest // length)).astype(int))
    weight = 1 / lags / np.sum(1 / lags)
    mean_lag = float(weight @ lags)
    slope = weight * (lags - mean_lag) / (weight @ (lags - mean_lag) ** 2)
    step_VV = np.zeros((values, values))
    for lag, factor in zip(lags, slope, strict=True):
        difference_NV = feature_NV[lag:] - feature_NV[:-lag]
        step_VV += factor * (difference_NV.T @ difference_NV) / len(difference_NV)
    value_V, vector_VV = np.linalg.eigh(step_VV)
    drift_VV: FloatArray = (vector_VV * np.maximum(value_V, 0)) @ vector_VV.T
    return drift_VV


def _blocks(windows: int, length: int) -> Iterator[slice]:
    """Chronological blocks of windows that share no row; one block for single rows or for few."""
    rows = windows + length - 1
    blocks = BLOCKS if length > 1 and rows >= 2 * BLOCKS * length else 1
    for first, last in pairwise(np.linspace(0, rows, blocks + 1).astype(int)):
        yield slice(first, last - length + 1)
