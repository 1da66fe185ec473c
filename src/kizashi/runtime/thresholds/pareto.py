"""The generalised Pareto law of excesses over a high level: fit, test and simulation."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SIMULATIONS = 199
"""Simulated refits behind a p-value and a band: the p-value moves in steps of 1 / 200."""


@dataclass(frozen=True)
class ParetoLaw:
    """P(excess > x) = (1 + shape x / scale) ** (-1 / shape), exp(-x / scale) at shape 0.

    (Pickands, "Statistical inference using extreme order statistics", Ann. Stat. 3, 1975.) Tails
    are bounded with a shape below 0, exponential at 0, heavy above.
    """

    shape: float
    scale: float

    @classmethod
    def fit(cls, excesses: FloatArray) -> Self:
        """The law of excesses in ascending order, all above 0, shape (k,).

        Zhang and Stephens, "A new and efficient estimation method for the generalized Pareto
        distribution", Technometrics 51 (2009): the mean of theta = -shape / scale over a profile
        likelihood with a weak prior. In simulations over shapes from -1 to 0.6 and 30 to 500
        excesses the rates beyond its far quantiles were closer to those asked for than with
        maximum likelihood or probability-weighted moments, and it always exists.
        """
        count = len(excesses)
        points = 20 + math.floor(math.sqrt(count))
        quartile = excesses[math.floor(count / 4 + 0.5) - 1]
        place = np.arange(1, points + 1) - 0.5
        theta = 1 / excesses[-1] + (1 - np.sqrt(points / place)) / (3 * quartile)
        theta = theta[theta != 0]
        shape = np.log1p(-np.outer(theta, excesses)).mean(axis=1)
        likelihood = count * (np.log(-theta / shape) - shape - 1)
        weight = np.exp(likelihood - likelihood.max())
        chosen = float((theta * weight).sum() / weight.sum())
        fitted = float(np.log1p(-chosen * excesses).mean())
        return cls(fitted, -fitted / chosen) if chosen else cls(0.0, float(excesses.mean()))

    def survival(self, excesses: FloatArray) -> FloatArray:
        """The share of excesses above each, shape (k,)."""
        scaled = np.asarray(excesses) / self.scale
        if abs(self.shape) < 1e-9:
            return np.asarray(np.exp(-scaled))
        return np.asarray(np.maximum(1 + self.shape * scaled, 0.0) ** (-1 / self.shape))

    def quantile(self, share: npt.ArrayLike) -> FloatArray:
        """The excess that this share of excesses is above."""
        logarithm = -np.log(np.asarray(share, dtype=np.float64))
        if abs(self.shape) < 1e-9:
            return np.asarray(self.scale * logarithm)
        return np.asarray(self.scale * np.expm1(self.shape * logarithm) / self.shape)

    def misfit(self, excesses: FloatArray) -> float:
        """The Anderson-Darling statistic, which weighs both ends, of excesses in ascending order
        (Choulakian and Stephens, "Goodness-of-fit tests for the generalized Pareto distribution",
        Technometrics 43, 2001)."""
        count = len(excesses)
        above = np.clip(self.survival(excesses), 1e-12, 1 - 1e-12)
        odd = 2 * np.arange(1, count + 1) - 1
        return float(-count - np.mean(odd * (np.log1p(-above) + np.log(above[::-1]))))

    def simulated(self, count: int, rng: np.random.Generator) -> list[FloatArray]:
        """SIMULATIONS samples of `count` excesses from this law, each in ascending order."""
        return [np.sort(self.quantile(1 - rng.random(count))) for _ in range(SIMULATIONS)]
