"""The threshold chosen by labels, under a ceiling of false alarms."""

import math

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.thresholds.blocks import BlocksThreshold
from kizashi.runtime.thresholds.conformal import ConformalThreshold
from kizashi.runtime.thresholds.dependence import DEPENDENT, dependence
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.rate import RateThreshold

FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.intp]


class LabelledThreshold(RateThreshold):
    """The threshold with the best F-beta on labelled windows, or the lowest cost, that lets no more
    false alarms through than the conformal threshold at `alpha`, or than the one from blocks where
    rows depend on one another.

    F-beta weighs finding faults `beta` times as much as being right about them (van Rijsbergen,
    "Information Retrieval", 1979). Instead of it, `false_alarm_cost` and `miss_cost` together are
    what one normal window judged `anomaly` and one faulty window judged `normal` cost; their sum
    over the labelled windows is what is lowest. Among equals the lowest threshold is taken, which
    finds most. What it is measured by are the labelled windows themselves: their share of faults
    is taken for that of the line.

    Raises ConfigurationError for weights that are no number above 0, for both targets, and for one
    cost without the other.
    """

    kind = "labelled"
    wants_labels = True
    requires_labels = True

    def __init__(
        self,
        alpha: float | None = None,
        alarms_per_day: float | None = None,
        sampling_period: float | None = None,
        beta: float | None = None,
        false_alarm_cost: float | None = None,
        miss_cost: float | None = None,
    ) -> None:
        super().__init__(alpha, alarms_per_day, sampling_period)
        weights = {"beta": beta, "false_alarm_cost": false_alarm_cost, "miss_cost": miss_cost}
        for name, weight in weights.items():
            if weight is not None and not 0 < weight < math.inf:
                raise ConfigurationError(f"{name} is {weight!r}; a finite number above 0 is needed")
        if (false_alarm_cost is None) != (miss_cost is None):
            raise ConfigurationError(
                f"false_alarm_cost is {false_alarm_cost!r} and miss_cost is {miss_cost!r}; both "
                "are needed, or neither"
            )
        if beta is not None and miss_cost is not None:
            raise ConfigurationError(
                f"beta is {beta!r} beside false_alarm_cost and miss_cost; one target is needed"
            )
        self.beta = 1.0 if beta is None else beta
        self.false_alarm_cost, self.miss_cost = false_alarm_cost, miss_cost
        self.settings |= weights

    def _fit(self, evidence: CalibrationScores) -> float:
        scores, labels = evidence.labelled_scores, evidence.labels
        if scores is None or labels is None or not labels.any() or labels.all():
            raise DataError(
                f"threshold '{self.kind}' needs labelled rows, faulty and normal ones, and there "
                f"are {_counted(labels)}; give data.labelled=FILE or choose another threshold"
            )
        ceiling = self._ceiling(evidence)
        candidates = np.append(ceiling.value, np.unique(scores[scores > ceiling.value]))
        found, false = _above(scores[labels], candidates), _above(scores[~labels], candidates)
        faulty = int(labels.sum())
        best = int(np.argmin(self._loss(found, false, faulty)))
        value = float(candidates[best])
        exceeded = float((evidence.scores > value).mean())
        self.details = {
            "ceiling": ceiling.value,
            "labelled_rows": len(labels),
            "faulty_rows": faulty,
            "found": int(found[best]),
            "false_alarms": int(false[best]),
            "f_beta": float(_f_beta(found, false, faulty, self.beta)[best]),
            "calibration_rate": exceeded,
        }
        self.details |= ceiling.details
        self.warning = ceiling.warning
        self.guarantee = (
            f"{ceiling.guarantee}; chosen above that for {self._target}: it finds {found[best]} of "
            f"{faulty} faulty and flags {false[best]} of {len(labels) - faulty} normal labelled "
            f"rows, and {exceeded:.4%} of the calibration rows"
        )
        return value

    def _ceiling(self, evidence: CalibrationScores) -> RateThreshold:
        depend = evidence.in_time and (
            bool(evidence.blocks) or dependence(evidence.scores, self.alpha) >= DEPENDENT
        )
        return (BlocksThreshold if depend else ConformalThreshold)(self.alpha).fit(evidence)

    @property
    def _target(self) -> str:
        if self.miss_cost is not None:
            return (
                f"the lowest cost ({self.false_alarm_cost:g} a false alarm, {self.miss_cost:g} a "
                "miss)"
            )
        return f"the highest F{self.beta:g}"

    def _loss(self, found: CountArray, false: CountArray, faulty: int) -> FloatArray:
        if self.false_alarm_cost is not None and self.miss_cost is not None:
            return self.false_alarm_cost * false + self.miss_cost * (faulty - found)
        return -_f_beta(found, false, faulty, self.beta)


def _counted(labels: npt.NDArray[np.bool_] | None) -> str:
    if labels is None or len(labels) == 0:
        return "none"
    return f"{int(labels.sum())} faulty and {int((~labels).sum())} normal ones"


def _above(scores: FloatArray, candidates: FloatArray) -> CountArray:
    """How many scores are above each candidate."""
    counts: CountArray = len(scores) - np.searchsorted(np.sort(scores), candidates, side="right")
    return counts


def _f_beta(found: CountArray, false: CountArray, faulty: int, beta: float) -> FloatArray:
    weight = beta**2
    return np.asarray((1 + weight) * found / (found + false + weight * faulty))
