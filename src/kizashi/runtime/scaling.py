"""Scalers: each sensor brought to a common scale, by a class that both fits and applies.

A scaler divides by a spread and subtracts a centre, per sensor. What differs is how the two are
estimated from normal rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import BundleError, NotCalibrated

CONSTANT_SENSOR_SPREAD = 0.01
"""A sensor that never moved in training gets this share of its level as its spread, so that
leaving the level counts as a large step instead of dividing by zero."""


KNEE = 8.0
FURTHEST_INVERSE = 30.0
"""Keeps what a network rebuilds finite in original units, at 10 ** 13 standard deviations."""
FURTHEST_SCALED = 1e6
"""Readings are cut here, in spreads from the centre: beyond it single precision has no meaning, and
a reading a million standard deviations away is as anomalous as can be. It keeps every finite
reading scorable."""
FURTHEST_BENT = float(np.arcsinh(FURTHEST_SCALED / KNEE))
LARGEST = float(np.finfo(np.float64).max)


class Scaler(ABC):
    """Centre and spread of each sensor, shapes (F,), in the sensor's unit."""

    kind: ClassVar[str]
    furthest: ClassVar[float] = FURTHEST_SCALED
    """How many spreads from the centre `transform_finite` cuts readings."""

    def __init__(self) -> None:
        self._center_F: npt.NDArray[np.float64] | None = None
        self._spread_F: npt.NDArray[np.float64] | None = None
        self._lowest_F: npt.NDArray[np.float64] = np.full(1, -LARGEST)
        self._highest_F: npt.NDArray[np.float64] = np.full(1, LARGEST)

    @abstractmethod
    def _estimate(
        self, rows_NF: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Centre and spread of each sensor; a spread of 0 means the sensor is constant."""

    def fit(self, rows_NF: npt.NDArray[np.float64]) -> Self:
        """Learn centre and spread from normal rows."""
        center_F, spread_F = self._estimate(rows_NF)
        level_F = np.maximum(np.abs(center_F), 1.0)
        constant_F = spread_F <= 1e-12 * level_F
        self._know(center_F, np.where(constant_F, CONSTANT_SENSOR_SPREAD * level_F, spread_F))
        return self

    def _know(self, center_F: npt.NDArray[np.float64], spread_F: npt.NDArray[np.float64]) -> None:
        self._center_F, self._spread_F = center_F, spread_F
        with np.errstate(over="ignore", invalid="ignore"):
            reach_F = np.minimum(self.furthest * spread_F, LARGEST / 2)
            self._lowest_F = np.maximum(center_F - reach_F, -LARGEST)
            self._highest_F = np.minimum(center_F + reach_F, LARGEST)

    @property
    def center_F(self) -> npt.NDArray[np.float64]:
        if self._center_F is None:
            raise NotCalibrated(f"the {self.kind} scaler has not been fitted")
        return self._center_F

    @property
    def spread_F(self) -> npt.NDArray[np.float64]:
        if self._spread_F is None:
            raise NotCalibrated(f"the {self.kind} scaler has not been fitted")
        return self._spread_F

    def transform(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Original units to scaled ones; the last axis is the sensors."""
        scaled = values - self.center_F
        scaled /= self.spread_F
        return scaled

    def transform_finite(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """`transform` of readings cut where it could not follow them: what is not NaN has a finite
        scaled value, and no step overflows. NaN stays where it is."""
        if values.size == len(self.center_F):  # one row: NumPy takes half of the time for one shape
            row_F = self.transform(self._within_reach(values.reshape(-1)))
            return row_F.reshape(values.shape)
        return self.transform(self._within_reach(values))

    def _within_reach(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.minimum(np.maximum(values, self._lowest_F), self._highest_F)

    def inverse(self, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scaled values back to original units; the last axis is the sensors."""
        return scaled * self.spread_F + self.center_F

    def straighten(self, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scaled values in spreads from the centre."""
        return scaled

    def bend(self, straight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Spreads from the centre as scaled values: the inverse of `straighten`."""
        return straight

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self.center_F, "spread": self.spread_F}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> "Scaler":
        """The stored scaler; raises BundleError for a kind that is not in the table below."""
        if stored["kind"] not in SCALERS:
            raise BundleError(f"scaler kind is {stored['kind']!r}; known are {', '.join(SCALERS)}")
        scaler = SCALERS[stored["kind"]]()
        scaler._know(
            np.asarray(stored["center"], dtype=np.float64),
            np.asarray(stored["spread"], dtype=np.float64),
        )
        return scaler


class StandardScaler(Scaler):
    """Mean and standard deviation."""

    kind = "standard"

    def _estimate(
        self, rows_NF: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return rows_NF.mean(axis=0), rows_NF.std(axis=0)


class RobustScaler(Scaler):
    """Median and interquartile range over 1.349, which is the standard deviation of a Gaussian."""

    kind = "robust"

    def _estimate(
        self, rows_NF: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        lower_F, center_F, upper_F = np.percentile(rows_NF, [25, 50, 75], axis=0)
        spread_F = (upper_F - lower_F) / 1.349
        # A sensor that rests at one value most of the time has no interquartile range.
        return center_F, np.where(spread_F > 0, spread_F, rows_NF.std(axis=0))


class MinMaxScaler(Scaler):
    """Smallest value and range: training rows fall within 0 and 1."""

    kind = "minmax"

    def _estimate(
        self, rows_NF: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        low_F = rows_NF.min(axis=0)
        return low_F, rows_NF.max(axis=0) - low_F


class CompressedScaler(StandardScaler):
    """Standard scaling that grows like a logarithm beyond KNEE standard deviations.

    KNEE asinh(z / KNEE): single wild values of heavy-tailed sensors then neither rule distances nor
    drive the network where it has never been, and a larger value is still a larger one.
    """

    kind = "compressed"
    furthest = 1e300  # which compresses to a few thousand

    def transform(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return compressed(super().transform(values), KNEE)

    def straighten(self, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """At most FURTHEST_SCALED: further out all are alike, and squares stay finite."""
        straight = KNEE * np.sinh(np.clip(scaled / KNEE, -FURTHEST_BENT, FURTHEST_BENT))
        return np.asarray(straight)

    def bend(self, straight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return compressed(straight, KNEE)

    def inverse(self, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        furthest = np.clip(scaled / KNEE, -FURTHEST_INVERSE, FURTHEST_INVERSE)
        return super().inverse(KNEE * np.sinh(furthest))


def compressed(scaled: npt.NDArray[np.float64], knee: float) -> npt.NDArray[np.float64]:
    """knee asinh(z / knee): like z below the knee, like a logarithm beyond it."""
    compressed = scaled / knee
    np.arcsinh(compressed, out=compressed)
    compressed *= knee
    return compressed


SCALERS: dict[str, type[Scaler]] = {
    scaler.kind: scaler for scaler in (StandardScaler, CompressedScaler, RobustScaler, MinMaxScaler)
}
