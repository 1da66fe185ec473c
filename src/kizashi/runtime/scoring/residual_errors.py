"""Scorers of the residual alone: what the network cannot rebuild is strange."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from kizashi.errors import NotCalibrated
from kizashi.runtime.scoring.covariance import ledoit_wolf_covariance, whitening
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, SumOfSquares

SMALLEST_DEVIATION = 1e-6


class ReconstructionError(SumOfSquares):
    """The reconstruction error ‖x − x′‖ of the scaled window, per value and member of the network.

    Members that disagree raise it: no two of them rebuild alike what none has seen.
    """

    kind = "reconstruction_error"

    def fit(self, seen: Rebuilt) -> Self:
        return self

    def squares(self, rebuilt: Rebuilt) -> FloatArray:
        square_BF: FloatArray = (rebuilt.residual_MBTF**2).mean(axis=(0, 2))
        return square_BF

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        residual_MBTF = rebuilt.residual_MBTF
        total_B = np.einsum("mbtf,mbtf->b", residual_MBTF, residual_MBTF)
        members, _, length, sensors = residual_MBTF.shape
        score_B: FloatArray = np.sqrt(total_B / (members * length * sensors))
        return score_B

    def score_one(self, rebuilt: Rebuilt) -> float:
        values = rebuilt.scaled_BTF.ravel().tolist() * len(rebuilt.rebuilt_MBTF)
        return math.dist(values, rebuilt.rebuilt_MBTF.ravel().tolist()) / math.sqrt(len(values))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        return cls()


class StandardisedError(SumOfSquares):
    """The reconstruction error with each sensor's residual in its own standard deviations.

    A sensor that the network rebuilds closely then counts as much as one that it rebuilds roughly.
    """

    kind = "standardised_error"

    def __init__(self) -> None:
        self._center_F: FloatArray | None = None
        self._deviation_F: FloatArray | None = None

    def fit(self, seen: Rebuilt) -> Self:
        residual_MBTF = seen.residual_MBTF
        self._center_F = residual_MBTF.mean(axis=(0, 1, 2))
        self._deviation_F = np.maximum(residual_MBTF.std(axis=(0, 1, 2)), SMALLEST_DEVIATION)
        return self

    def squares(self, rebuilt: Rebuilt) -> FloatArray:
        if self._center_F is None or self._deviation_F is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        excess_MBTF = (rebuilt.residual_MBTF - self._center_F) / self._deviation_F
        square_BF: FloatArray = (excess_MBTF**2).mean(axis=(0, 2))
        return square_BF

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self._center_F, "deviation": self._deviation_F}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls()
        scorer._center_F, scorer._deviation_F = stored["center"], stored["deviation"]
        return scorer


class MahalanobisError(SumOfSquares):
    """The Mahalanobis distance of the residual: errors that usually go together count once."""

    kind = "mahalanobis_error"

    def __init__(self) -> None:
        self._center_F: FloatArray | None = None
        self._whitening_FF: FloatArray | None = None

    def fit(self, seen: Rebuilt) -> Self:
        residual_NF = seen.residual_BTF.reshape(-1, seen.scaled_BTF.shape[-1])
        self._center_F = residual_NF.mean(axis=0)
        deviation_F = np.maximum(residual_NF.std(axis=0), SMALLEST_DEVIATION)
        correlation_FF = ledoit_wolf_covariance((residual_NF - self._center_F) / deviation_F)
        self._whitening_FF = whitening(correlation_FF) / deviation_F
        return self

    def squares(self, rebuilt: Rebuilt) -> FloatArray:
        if self._center_F is None or self._whitening_FF is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        excess_BTF = (rebuilt.residual_BTF - self._center_F) @ self._whitening_FF.T
        square_BF: FloatArray = (excess_BTF**2).mean(axis=1)
        return square_BF

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "center": self._center_F, "whitening": self._whitening_FF}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls()
        scorer._center_F, scorer._whitening_FF = stored["center"], stored["whitening"]
        return scorer
