"""What every scorer has in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from kizashi.runtime.scaling import Scaler

FloatArray = npt.NDArray[np.float64]

SEEN_SCORED = 5_000
"""Windows that usual scores are taken from: more change them by less than rounding."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Scaled windows, shape (B, T, F), beside what each member of the network made of them, and the
    scaler they come from; without one they count as scaled by a centre and a spread alone."""

    scaled_BTF: FloatArray
    rebuilt_MBTF: FloatArray
    scaler: Scaler | None = None

    def __len__(self) -> int:
        return len(self.scaled_BTF)

    def __getitem__(
        self, chosen: slice | npt.NDArray[np.intp] | npt.NDArray[np.bool_]
    ) -> "Rebuilt":
        return Rebuilt(self.scaled_BTF[chosen], self.rebuilt_MBTF[:, chosen], self.scaler)

    @property
    def straight_BTF(self) -> FloatArray:
        """The windows in units in which what is linear between sensors is linear."""
        return self.scaled_BTF if self.scaler is None else self.scaler.straighten(self.scaled_BTF)

    @property
    def residual_MBTF(self) -> FloatArray:
        """Window minus reconstruction, for each member."""
        return self.scaled_BTF - self.rebuilt_MBTF

    @property
    def residual_BTF(self) -> FloatArray:
        """Window minus the mean of the members' reconstructions."""
        residual_BTF: FloatArray = self.scaled_BTF - self.rebuilt_MBTF.mean(axis=0)
        return residual_BTF


class Scorer(ABC):
    """Turns windows and their reconstructions into scores, at least 0 and higher is more anomalous,
    and each sensor's share of its window's score.

    `needs_network` is False for a scorer that looks at the windows alone. `applies` is False after
    `fit` for one that says nothing of windows like those. `weight` is what part of a joint score
    is its own, below 1; None takes an equal part of what the others leave.
    """

    kind: ClassVar[str]
    needs_network: bool = True
    applies: bool = True
    weight: float | None = None

    @abstractmethod
    def fit(self, seen: Rebuilt) -> Self:
        """Learn from the normal windows that the network learned from, in their order."""

    @abstractmethod
    def score(self, rebuilt: Rebuilt) -> FloatArray:
        """One score a window, shape (B,)."""

    def score_one(self, rebuilt: Rebuilt) -> float:
        """The score of a single window, the only one in `rebuilt`: what `score` says but for
        rounding. A scorer on the way of a request has its own, in Python's numbers: NumPy takes
        longer to be called than a handful of values takes to be computed."""
        return float(self.score(rebuilt)[0])

    @abstractmethod
    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        """The scores, shape (B,), and the shares, shape (B, F), which are at least 0, sum to 1, and
        are equal where the score is 0."""

    def seen_scores(self, seen: Rebuilt) -> FloatArray:
        """Scores of up to SEEN_SCORED of the windows that `fit` has just seen, none judged by
        itself."""
        return self.score(seen[evenly(len(seen), SEEN_SCORED)])

    def score_without(self, rebuilt: Rebuilt, learned_BTF: FloatArray) -> FloatArray:
        """Scores of windows, shape (B,), as if the scorer had kept none of those that they come
        from and that `fit` has seen, which are scaled and in the same order."""
        return self.score(rebuilt)

    def settle(
        self, filled_BTF: FloatArray, missing_BTF: npt.NDArray[np.bool_], scaler: Scaler
    ) -> FloatArray:
        """Scaled windows with what a network filled in, where `missing_BTF` is True, moved to where
        this scorer knows better; measured values stay. Most know nothing better."""
        return filled_BTF

    def nearest(self, rebuilt: Rebuilt) -> FloatArray | None:
        """The kept normal windows next to each window, nearest first, scaled, shape (B, K, T, F);
        None from a scorer that keeps none."""
        return None

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What `restore` needs, with arrays as arrays."""

    @classmethod
    @abstractmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: "Restore") -> Self:
        """The stored scorer; `any_scorer` restores those that are stored inside it."""


Restore = Callable[[Mapping[str, Any]], Scorer]


class SumOfSquares(Scorer):
    """A scorer whose score is the root of a mean of squares, each the work of one sensor."""

    @abstractmethod
    def squares(self, rebuilt: Rebuilt) -> FloatArray:
        """What each sensor adds, shape (B, F); the mean over sensors is the squared score."""

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        score_B: FloatArray = np.sqrt(self.squares(rebuilt).mean(axis=1))
        return score_B

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        square_BF = self.squares(rebuilt)
        score_B: FloatArray = np.sqrt(square_BF.mean(axis=1))
        return score_B, shares(square_BF)


def shares(part_BF: FloatArray) -> FloatArray:
    """Each sensor's share of the sum of parts; equal shares where the sum is 0 or not finite."""
    total_B1 = part_BF.sum(axis=1, keepdims=True)
    share_BF: FloatArray = np.full_like(part_BF, 1 / part_BF.shape[1])
    np.divide(part_BF, total_B1, out=share_BF, where=(total_B1 > 0) & np.isfinite(total_B1))
    return share_BF


def evenly(count: int, most: int) -> npt.NDArray[np.intp]:
    """Indices of at most `most` of `count` things, spread evenly."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.intp)
