"""The distance to the nearest crowd of normal windows: what only a few of them resemble is strange,
because those few may be faults."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scaling import compressed
from kizashi.runtime.scoring.nearest import KNEE, MOST_VALUES, NEIGHBOURS, SAME, VALUES_AT_ONCE
from kizashi.runtime.scoring.scorer import SEEN_SCORED, FloatArray, Rebuilt, Restore, Scorer, evenly
from kizashi.runtime.scoring.scorer import shares as shares_of

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]
SingleArray = npt.NDArray[np.float32]


class CrowdDistance(Scorer):
    """Distance to the nearest *prototype*, a normal window kept as it was, beyond a share of them,
    the nearest ones.

    While no more than that share of the prototypes are faults, a normal one lies at least as near
    as the distance says: faults among the training windows, even if all are alike, hide nothing
    that resembles them. It is the distance to the k-th neighbour (Ramaswamy, Rastogi and Shim,
    "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000), with k a share of
    all. The price: normal windows of a kind that is rarer than the share count as strange.

    Distances are root mean squares over the window's values, in scaled units that grow like a
    logarithm beyond KNEE. `prototypes` is the largest number kept, drawn evenly: a share of them is
    the same place however many there are; wide windows keep no more than MOST_VALUES in all.

    Raises ConfigurationError for a share outside 0 to 0.5, or fewer than 1 prototype.
    """

    kind = "crowd_distance"
    needs_network = False

    def __init__(self, share: float = 0.05, prototypes: int = 2_000) -> None:
        if not 0 < share < 0.5:
            raise ConfigurationError(f"share is {share!r}; a share above 0 and below 0.5 is needed")
        if prototypes < 1:
            raise ConfigurationError(f"prototypes is {prototypes}; a whole number from 1 is needed")
        self.share = share
        self.prototypes = prototypes
        self._prototype_PV: SingleArray | None = None

    def fit(self, seen: Rebuilt) -> Self:
        windows_BV = _flat(seen.scaled_BTF)
        self._keep(windows_BV[self._drawn(windows_BV)])
        return self

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        windows_BV = _flat(rebuilt.scaled_BTF)
        return self._distance(windows_BV, np.zeros(len(windows_BV), dtype=np.bool_))

    def score_one(self, rebuilt: Rebuilt) -> float:
        window_V = _flat(rebuilt.scaled_BTF)[0]
        closeness_P = self._closeness(window_V)
        place = int(np.argpartition(closeness_P, -self._beyond)[-self._beyond])
        return math.dist(window_V.tolist(), self._kept[place].tolist()) / math.sqrt(len(window_V))

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        """A sensor's share is its part of the way to the middle of the crowd."""
        windows_BV = _flat(rebuilt.scaled_BTF)
        step_BV = windows_BV.astype(np.float64)
        for piece in self._pieces(len(windows_BV)):
            for place, closeness_P in enumerate(self._closeness(windows_BV[piece]), piece.start):
                crowd_K = np.argpartition(closeness_P, -self._beyond)[-self._beyond :]
                step_BV[place] -= self._kept[crowd_K].mean(axis=0, dtype=np.float64)
        square_BF = (step_BV.reshape(rebuilt.scaled_BTF.shape) ** 2).sum(axis=1)
        score_B = self.score(rebuilt)
        square_BF[score_B == 0] = 0
        return score_B, shares_of(square_BF)

    def seen_scores(self, seen: Rebuilt) -> FloatArray:
        windows_BV = _flat(seen.scaled_BTF)
        scored = evenly(len(windows_BV), SEEN_SCORED)
        own_B = np.isin(scored, self._drawn(windows_BV))
        return self._distance(windows_BV[scored], own_B)

    def score_without(self, rebuilt: Rebuilt, learned_BTF: FloatArray) -> FloatArray:
        learned_BV = _flat(learned_BTF)
        nearest_B = self._nearest(learned_BV, 1)[:, 0]
        step_BV = learned_BV.astype(np.float64) - self._kept[nearest_B]
        return self._distance(_flat(rebuilt.scaled_BTF), (step_BV**2).mean(axis=1) <= SAME)

    def nearest(self, rebuilt: Rebuilt) -> FloatArray:
        nearest_BK = self._nearest(_flat(rebuilt.scaled_BTF), NEIGHBOURS)
        scaled_BKV = KNEE * np.sinh(self._kept[nearest_BK].astype(np.float64) / KNEE)
        return scaled_BKV.reshape(*nearest_BK.shape, *rebuilt.scaled_BTF.shape[1:])

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "share": self.share,
            "prototypes": self.prototypes,
            "kept": self._kept,
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls(float(stored["share"]), int(stored["prototypes"]))
        scorer._keep(stored["kept"])
        return scorer

    @property
    def _kept(self) -> SingleArray:
        if self._prototype_PV is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return self._prototype_PV

    def _keep(self, prototype_PV: SingleArray) -> None:
        self._prototype_PV = prototype_PV
        self._turned_VP = np.ascontiguousarray(prototype_PV.T)
        self._half_square_P = 0.5 * np.einsum("pv,pv->p", prototype_PV, prototype_PV)
        self._beyond = min(math.ceil(self.share * len(prototype_PV)) + 1, len(prototype_PV))
        """Which of the prototypes, nearest first and counted from 1, the distance is to."""

    def _drawn(self, windows_BV: SingleArray) -> IntArray:
        count, values = windows_BV.shape
        return evenly(count, min(self.prototypes, max(1, MOST_VALUES // values)))

    def _distance(self, windows_BV: SingleArray, own_B: BoolArray) -> FloatArray:
        """To the prototype beyond the share, where `own_B` not counting the nearest, which is the
        window itself."""
        prototypes = len(self._kept)
        places = prototypes - self._beyond, max(0, prototypes - self._beyond - 1)
        chosen_B = np.empty(len(windows_BV), dtype=np.intp)
        for piece in self._pieces(len(windows_BV)):
            order_BP = np.argpartition(self._closeness(windows_BV[piece]), places, axis=1)
            chosen_B[piece] = np.where(own_B[piece], order_BP[:, places[1]], order_BP[:, places[0]])
        # Single precision finds it; how far it is is worked out without cancellation.
        step_BV = windows_BV.astype(np.float64) - self._kept[chosen_B]
        distance_B: FloatArray = np.sqrt((step_BV**2).mean(axis=1))
        return distance_B

    def _nearest(self, windows_BV: SingleArray, count: int) -> IntArray:
        """Which prototypes are the nearest, nearest first, shape (B, K)."""
        nearest_BK = np.empty((len(windows_BV), min(count, len(self._kept))), dtype=np.intp)
        for piece in self._pieces(len(windows_BV)):
            order_BP = np.argsort(-self._closeness(windows_BV[piece]), axis=1, kind="stable")
            nearest_BK[piece] = order_BP[:, :count]
        return nearest_BK

    def _closeness(self, windows_BV: SingleArray) -> SingleArray:
        """Of each window, or of one, to each prototype: larger is nearer."""
        # ‖x - p‖² = ‖x‖² - 2 (x·p - ‖p‖² / 2): the nearest have the largest bracket.
        closeness_BP: SingleArray = windows_BV @ self._turned_VP
        closeness_BP -= self._half_square_P
        return closeness_BP

    def _pieces(self, windows: int) -> Iterator[slice]:
        at_once = max(1, VALUES_AT_ONCE // len(self._kept))
        for start in range(0, windows, at_once):
            yield slice(start, start + at_once)


def _flat(windows_BTF: FloatArray) -> SingleArray:
    count, length, sensors = windows_BTF.shape
    return compressed(windows_BTF.reshape(count, length * sensors), KNEE).astype(np.float32)
