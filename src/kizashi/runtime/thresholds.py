"""Threshold rules: calibration scores to the score above which the verdict is `anomaly`.

Each rule is fitted on scores of held-out normal windows, never on training scores: those are far
too low, because the network has seen the rows.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import BundleError, ConfigurationError, DataError, NotCalibrated
from kizashi.runtime.calibration import ExponentialTail

FloatArray = npt.NDArray[np.float64]

SECONDS_PER_DAY = 86_400
DEFAULT_ALPHA = 0.001
"""One row in a thousand: the false alarm rate where no other is asked for."""


class Threshold(ABC):
    """A rule and, once fitted, its value.

    `false_alarm_rate` is the share of normal windows that the rule aims to judge `anomaly`, None
    for a rule that promises none. `settings` are the arguments of the constructor that make the
    same rule again. `guarantee` says in one line what is promised, and `warning`
    what the user must know, empty when there is nothing.
    """

    kind: ClassVar[str]

    def __init__(self) -> None:
        self._value: float | None = None
        self.settings: dict[str, float] = {}
        self.false_alarm_rate: float | None = None
        self.guarantee = ""
        self.warning = ""
        self.calibration_rows = 0

    def fit(self, scores: FloatArray) -> Self:
        """Set the value from held-out normal scores, shape (n,)."""
        self.guarantee = self.warning = ""
        if len(scores) == 0:
            raise DataError(f"threshold '{self.kind}' has no calibration rows to be fitted on")
        self.calibration_rows = len(scores)
        self._value = float(self._fit(np.sort(scores)))
        return self

    @abstractmethod
    def _fit(self, ordered: FloatArray) -> float:
        """The value for scores in ascending order."""

    @property
    def value(self) -> float:
        """The score above which a window is an anomaly; raises NotCalibrated before `fit`."""
        if self._value is None:
            raise NotCalibrated(f"threshold '{self.kind}' has not been calibrated")
        return self._value

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "settings": dict(self.settings),
            "value": self.value,
            "false_alarm_rate": self.false_alarm_rate,
            "guarantee": self.guarantee,
            "warning": self.warning,
            "calibration_rows": self.calibration_rows,
        }

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> "Threshold":
        """The stored threshold, which fits again by the rule that it was fitted by.

        Raises BundleError for an unknown kind, NotCalibrated without a value.
        """
        if stored.get("kind") not in THRESHOLDS:
            known = ", ".join(THRESHOLDS)
            raise BundleError(f"threshold kind is {stored.get('kind')!r}; known are {known}")
        value = stored.get("value")
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise NotCalibrated(f"the stored threshold is {value!r}; a number is needed")
        # Bundles of earlier versions hold no settings.
        threshold = THRESHOLDS[stored["kind"]](**stored.get("settings", {}))
        threshold._value = float(value)
        threshold.false_alarm_rate = stored["false_alarm_rate"]
        threshold.guarantee = stored["guarantee"]
        threshold.warning = stored["warning"]
        threshold.calibration_rows = stored["calibration_rows"]
        return threshold


class ConformalThreshold(Threshold):
    """The split-conformal threshold: at most a share `alpha` of new normal rows exceeds it.

    Its value is the ceil((n + 1)(1 - alpha))-th smallest of n calibration scores (Vovk, Gammerman
    and Shafer, "Algorithmic Learning in a Random World", 2005; the rule with +1 is exact for any
    law of scores as long as rows are exchangeable). The target is `alpha`, or `alarms_per_day` at
    one row every `sampling_period` seconds, never both; without either it is DEFAULT_ALPHA.

    With n < 1 / alpha - 1 there is no such threshold: the fitted exponential tail names it instead,
    without the guarantee, and `warning` says so. Raises ConfigurationError for a target that is
    no rate, for two targets, and for half of one.
    """

    kind = "conformal"

    def __init__(
        self,
        alpha: float | None = None,
        alarms_per_day: float | None = None,
        sampling_period: float | None = None,
    ) -> None:
        super().__init__()
        if alarms_per_day is not None or sampling_period is not None:
            if alpha is not None:
                raise ConfigurationError(
                    f"alpha is {alpha!r} beside alarms_per_day {alarms_per_day!r} and "
                    f"sampling_period {sampling_period!r}; one target is needed"
                )
            alpha = _share(alarms_per_day, sampling_period)
        self.false_alarm_rate = DEFAULT_ALPHA if alpha is None else alpha
        if not 0 < self.false_alarm_rate < 1:
            raise ConfigurationError(
                f"the false alarm rate alpha is {alpha!r}; a number between 0 and 1 is needed"
            )
        self.settings = {"alpha": self.false_alarm_rate}

    def _fit(self, ordered: FloatArray) -> float:
        alpha = self.false_alarm_rate
        assert alpha is not None  # set by the constructor
        # The tolerance keeps 0.9990000000000001 x 1000 from asking for one row more than exists.
        rank = max(1, math.ceil((len(ordered) + 1) * (1 - alpha) - 1e-9))
        if rank <= len(ordered):
            self.guarantee = (
                f"at most {alpha:.4%} of exchangeable normal rows, from {len(ordered)} "
                "calibration rows"
            )
            return float(ordered[rank - 1])
        needed = math.ceil(1 / alpha - 1 - 1e-9)
        self.guarantee = "none: exponential tail fitted to the largest calibration scores"
        self.warning = (
            f"a conformal threshold at {alpha:.4%} needs at least {needed} calibration rows and "
            f"there are {len(ordered)}; the fallback 'exponential tail' is used, without a "
            "guarantee"
        )
        return ExponentialTail(ordered).quantile(alpha)


def _share(alarms_per_day: float | None, sampling_period: float | None) -> float:
    """The share of rows that `alarms_per_day` are."""
    if sampling_period is None or not 0 < sampling_period < math.inf:
        raise ConfigurationError(
            f"sampling_period is {sampling_period!r}; alarms_per_day needs the seconds "
            "between two rows, above 0"
        )
    if alarms_per_day is None:
        raise ConfigurationError(
            "alarms_per_day is None; sampling_period needs the alarms a day that are accepted"
        )
    return alarms_per_day * sampling_period / SECONDS_PER_DAY


class QuantileThreshold(Threshold):
    """The score below which a share `quantile` of calibration scores lies, 95 % by custom."""

    kind = "quantile"

    def __init__(self, quantile: float = 0.95) -> None:
        super().__init__()
        if not 0 < quantile < 1:
            raise ConfigurationError(
                f"the quantile is {quantile!r}; a number between 0 and 1 is needed"
            )
        self.quantile = quantile
        self.settings = {"quantile": quantile}
        self.false_alarm_rate = 1 - quantile

    def _fit(self, ordered: FloatArray) -> float:
        self.guarantee = f"the {self.quantile:.2%} point of {len(ordered)} calibration rows"
        return float(np.quantile(ordered, self.quantile, method="higher"))


class MadThreshold(Threshold):
    """Median plus `deviations` robust standard deviations of the calibration scores.

    The robust standard deviation is 1.4826 times the median absolute deviation (Leys et al.,
    "Detecting outliers", J. Exp. Soc. Psychol. 49, 2013). It promises no rate.
    """

    kind = "mad"

    def __init__(self, deviations: float = 6.0) -> None:
        super().__init__()
        if not 0 < deviations < math.inf:
            raise ConfigurationError(
                f"deviations is {deviations!r}; a finite number above 0 is needed"
            )
        self.deviations = deviations
        self.settings = {"deviations": deviations}

    def _fit(self, ordered: FloatArray) -> float:
        median = float(np.median(ordered))
        self.guarantee = (
            f"none: median + {self.deviations:g} robust standard deviations of {len(ordered)} "
            "calibration rows"
        )
        return median + self.deviations * 1.4826 * float(np.median(np.abs(ordered - median)))


THRESHOLDS: dict[str, type[Threshold]] = {
    threshold.kind: threshold for threshold in (ConformalThreshold, QuantileThreshold, MadThreshold)
}
