"""How far relations between sensors are broken: what one tells of another, and tells exactly."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import NotCalibrated
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring.scorer import FloatArray, Rebuilt, Restore, Scorer, shares

TIGHT = 0.01
"""A direction in which standardised sensors vary by less is a relation: what it combines is known
to a tenth of a standard deviation from the rest."""
FINEST = 1e-7
"""A relation counts as no finer than this variance; what is stored of a row is not finer either."""
ROWS_PER_SENSOR = 2
"""With fewer rows some combination of independent sensors would hardly vary by chance: with two for
each the least variance is about 0.09 (Marchenko and Pastur, Math. USSR Sb. 1, 1967)."""
SMALLEST_DEVIATION = 1e-9
"""In scaled units: a sensor that varies less never moved."""
GUESS_DEVIATION = 1.0
"""How far off a value that was filled in may be, in standard deviations, for all that is known."""


class SensorRelations(Scorer):
    """The distance from where sensors keep the linear relations that held in training.

    It is Hotelling's T² (Ann. Math. Stat. 2, 1931) in the directions of least variance alone, the
    last principal components (Jackson and Mudholkar, Technometrics 21, 1979), as a root mean square
    over them. Where many sensors measure few states, as those of a hydraulic circuit do, a fault
    breaks relations long before any value leaves its range; neither a network nor a distance to
    other rows resolves what is a thousandth of their spread.

    A sensor's share follows from how far the squared distance falls where that sensor alone may
    read anything (reconstruction-based contribution: Alcala and Qin, Automatica 45, 2009).

    `applies` is False unless relations take more than half of the directions, and where there are
    fewer than ROWS_PER_SENSOR windows for each sensor. `weight` in a joint score is the share of
    the directions that they take: what is bound is judged by its relations, the rest
    by the other parts.
    """

    kind = "sensor_relations"
    needs_network = False

    def __init__(self) -> None:
        self._center_F: FloatArray | None = None

    def fit(self, seen: Rebuilt) -> Self:
        rows_NF = seen.straight_BTF.reshape(-1, seen.scaled_BTF.shape[-1])
        center_F, deviation_F = rows_NF.mean(axis=0), rows_NF.std(axis=0)
        moved_F = deviation_F > SMALLEST_DEVIATION
        standard_NS = (rows_NF - center_F)[:, moved_F] / deviation_F[moved_F]
        sensors = standard_NS.shape[1]
        variance_S, direction_SS = np.linalg.eigh(standard_NS.T @ standard_NS / len(rows_NF))
        bound_S = variance_S < TIGHT
        bound_S[:1] = True  # the tightest combination there is, where none is tight
        relations = int(np.count_nonzero(bound_S))
        many = len(seen) >= ROWS_PER_SENSOR * sensors
        self.applies = many and 2 * np.count_nonzero(variance_S < TIGHT) > sensors
        root_SD = direction_SS[:, bound_S] / np.sqrt(np.maximum(variance_S[bound_S], FINEST))
        root_FD = np.zeros((len(center_F), relations))
        root_FD[moved_F] = root_SD / deviation_F[moved_F, None]
        self._know(center_F, root_FD, deviation_F, relations / max(sensors, 1))
        return self

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        return self._distances(self._broken(rebuilt))

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        broken_BTD = self._broken(rebuilt)
        pull_BTF = broken_BTD @ self._root_FD.T
        fall_BF = (pull_BTF**2).sum(axis=1)
        fall_BF /= np.where(self._grip_F > 0, self._grip_F, np.inf)
        return self._distances(broken_BTD), shares(fall_BF)

    def settle(
        self, filled_BTF: FloatArray, missing_BTF: npt.NDArray[np.bool_], scaler: Scaler
    ) -> FloatArray:
        filled_NF = filled_BTF.reshape(-1, filled_BTF.shape[-1])
        missing_NF = missing_BTF.reshape(filled_NF.shape)
        straight_NF = np.array(scaler.straighten(filled_NF))
        pull_NF = (straight_NF - self._center) @ self._root_FD @ self._root_FD.T
        patterns_PF, of_N = np.unique(missing_NF, axis=0, return_inverse=True)
        for place, gone_F in enumerate(patterns_PF):
            if not gone_F.any():
                continue
            rows_N = of_N.reshape(-1) == place
            hold_MD = self._root_FD[gone_F]
            doubt_M = (
                1
                / (GUESS_DEVIATION * np.maximum(self._deviation_F[gone_F], SMALLEST_DEVIATION)) ** 2
            )
            step_MN = np.linalg.solve(
                hold_MD @ hold_MD.T + np.diag(doubt_M), pull_NF[np.ix_(rows_N, gone_F)].T
            )
            straight_NF[np.ix_(rows_N, gone_F)] -= step_MN.T
        settled_NF = np.where(missing_NF, scaler.bend(straight_NF), filled_NF)
        return settled_NF.reshape(filled_BTF.shape)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "center": self._center,
            "root": self._root_FD,
            "deviation": self._deviation_F,
            "weight": self.weight,
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls()
        weight = float(stored["weight"])
        scorer._know(stored["center"], stored["root"], stored["deviation"], weight)
        return scorer

    @property
    def _center(self) -> FloatArray:
        if self._center_F is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return self._center_F

    def _know(
        self, center_F: FloatArray, root_FD: FloatArray, deviation_F: FloatArray, weight: float
    ) -> None:
        self._center_F, self._root_FD, self._deviation_F = center_F, root_FD, deviation_F
        self._grip_F = (root_FD**2).sum(axis=1)
        self.weight = weight

    def _broken(self, rebuilt: Rebuilt) -> FloatArray:
        """How far each relation is from holding in each row, in its deviations, (B, T, D)."""
        broken_BTD: FloatArray = (rebuilt.straight_BTF - self._center) @ self._root_FD
        return broken_BTD

    def _distances(self, broken_BTD: FloatArray) -> FloatArray:
        _, length, relations = broken_BTD.shape  # no relations where no sensor ever moved
        score_B: FloatArray = np.sqrt((broken_BTD**2).sum(axis=(1, 2)) / max(length * relations, 1))
        return score_B
