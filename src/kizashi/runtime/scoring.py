"""Scorers: residuals to one score a window, and each sensor's share of it.

A scorer turns a residual into an *excess* per row and sensor, whose squares add up. The score is
the root of their mean over the window, so it is at least 0 and higher is more anomalous; a sensor's
contribution is its share of that sum, so shares are at least 0 and sum to 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import BundleError, NotCalibrated

FloatArray = npt.NDArray[np.float64]


class Scorer(ABC):
    """Residual, scaled, shape (B, T, F), to score (B,) and contributions (B, F)."""

    kind: ClassVar[str]

    @abstractmethod
    def fit(self, residual_BTF: FloatArray) -> Self:
        """Learn from the residuals of normal windows."""

    @abstractmethod
    def excess(self, residual_BTF: FloatArray) -> FloatArray:
        """The residual in the units in which this scorer adds up squares, shape (B, T, F)."""

    def score(self, residual_BTF: FloatArray) -> FloatArray:
        """One score a window, shape (B,): the root mean square of the excess."""
        excess_BTF = self.excess(residual_BTF)
        score_B: FloatArray = np.sqrt(np.mean(excess_BTF**2, axis=(1, 2)))
        return score_B

    def contributions(self, residual_BTF: FloatArray) -> FloatArray:
        """Each sensor's share of the score, shape (B, F); equal shares where the score is 0."""
        square_BF: FloatArray = np.sum(self.excess(residual_BTF) ** 2, axis=1)
        total_B1 = square_BF.sum(axis=1, keepdims=True)
        share_BF: FloatArray = np.full_like(square_BF, 1 / square_BF.shape[1])
        np.divide(square_BF, total_B1, out=share_BF, where=total_B1 > 0)
        return share_BF

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` needs, with arrays as arrays."""

    @classmethod
    @abstractmethod
    def _restore(cls, stored: Mapping[str, Any]) -> Self: ...

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> "Scorer":
        """The stored scorer; raises BundleError for a kind that is not in the table below."""
        if stored["kind"] not in SCORERS:
            raise BundleError(f"scorer kind is {stored['kind']!r}; known are {', '.join(SCORERS)}")
        return SCORERS[stored["kind"]]._restore(stored)


class ReconstructionError(Scorer):
    """The plain reconstruction error ‖x − x′‖ of the scaled window, per value."""

    kind = "reconstruction_error"

    def fit(self, residual_BTF: FloatArray) -> Self:
        return self

    def excess(self, residual_BTF: FloatArray) -> FloatArray:
        return residual_BTF

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def _restore(cls, stored: Mapping[str, Any]) -> Self:
        return cls()


class StandardisedError(Scorer):
    """The reconstruction error with each sensor's residual in its own standard deviations.

    A sensor that the network rebuilds closely then counts as much as one that it rebuilds roughly.
    """

    kind = "standardised_error"

    def __init__(self) -> None:
        self._center_F: FloatArray | None = None
        self._deviation_F: FloatArray | None = None

    def fit(self, residual_BTF: FloatArray) -> Self:
        self._center_F = residual_BTF.mean(axis=(0, 1))
        self._deviation_F = np.maximum(residual_BTF.std(axis=(0, 1)), 1e-6)
        return self

    def excess(self, residual_BTF: FloatArray) -> FloatArray:
        if self._center_F is None or self._deviation_F is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return (residual_BTF - self._center_F) / self._deviation_F

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self._center_F, "deviation": self._deviation_F}

    @classmethod
    def _restore(cls, stored: Mapping[str, Any]) -> Self:
        scorer = cls()
        scorer._center_F, scorer._deviation_F = stored["center"], stored["deviation"]
        return scorer


class MahalanobisError(Scorer):
    """The Mahalanobis distance of the residual: errors that usually go together count once.

    The covariance is shrunk towards a multiple of the identity by Ledoit and Wolf, "A
    well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate Anal. 88
    (2004). Its inverse root is the symmetric one of the correlation matrix (ZCA-cor: Kessy, Lewin
    and Strimmer, "Optimal whitening and decorrelation", Am. Stat. 72, 2018): of all whitenings it
    stays closest to the sensors, so the squares that add up to the distance are the sensors' own.
    """

    kind = "mahalanobis_error"

    def __init__(self) -> None:
        self._center_F: FloatArray | None = None
        self._whitening_FF: FloatArray | None = None

    def fit(self, residual_BTF: FloatArray) -> Self:
        residual_NF = residual_BTF.reshape(-1, residual_BTF.shape[-1])
        self._center_F = residual_NF.mean(axis=0)
        deviation_F = np.maximum(residual_NF.std(axis=0), 1e-6)
        correlation_FF = ledoit_wolf_covariance((residual_NF - self._center_F) / deviation_F)
        eigenvalue_F, eigenvector_FF = np.linalg.eigh(correlation_FF)
        root_F = 1 / np.sqrt(np.maximum(eigenvalue_F, 1e-6 * eigenvalue_F[-1]))
        self._whitening_FF = (eigenvector_FF * root_F) @ eigenvector_FF.T / deviation_F
        return self

    def excess(self, residual_BTF: FloatArray) -> FloatArray:
        if self._center_F is None or self._whitening_FF is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return (residual_BTF - self._center_F) @ self._whitening_FF.T

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self._center_F, "whitening": self._whitening_FF}

    @classmethod
    def _restore(cls, stored: Mapping[str, Any]) -> Self:
        scorer = cls()
        scorer._center_F, scorer._whitening_FF = stored["center"], stored["whitening"]
        return scorer


def ledoit_wolf_covariance(centred_NF: FloatArray) -> FloatArray:
    """Shrunk covariance (F, F) of rows with mean 0: (1 - δ) S + δ μ I with the optimal δ.

    Formulas of Ledoit and Wolf (2004), section 3, for S the sample covariance, μ its mean variance.
    """
    rows, sensors = centred_NF.shape
    sample_FF = centred_NF.T @ centred_NF / rows
    mean_variance = np.trace(sample_FF) / sensors
    distance = np.sum(sample_FF**2) / sensors - mean_variance**2
    square_NF = centred_NF**2
    noise = (np.sum(square_NF.T @ square_NF) / rows - np.sum(sample_FF**2)) / (rows * sensors)
    shrinkage = 1.0 if distance <= 0 else float(np.clip(noise / distance, 0.0, 1.0))
    shrunk_FF: FloatArray = (1 - shrinkage) * sample_FF
    shrunk_FF += shrinkage * mean_variance * np.eye(sensors)
    return shrunk_FF


SCORERS: dict[str, type[Scorer]] = {
    scorer.kind: scorer for scorer in (ReconstructionError, StandardisedError, MahalanobisError)
}
