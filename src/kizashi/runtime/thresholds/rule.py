"""The threshold rule: what every rule has in common."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import BundleError, DataError, NotCalibrated
from kizashi.runtime.thresholds.evidence import CalibrationScores

FloatArray = npt.NDArray[np.float64]
Details = dict[str, float | str]

FALLBACK = "fallback"
"""Among the details: the name of what stands in for a rule that could not be kept."""
EXPONENTIAL_TAIL = "exponential tail"
BLOCKS = "blocks"
"""Among the details: the number of blocks of cross-fitting."""
STORED = ("false_alarm_rate", "guarantee", "warning", "reason", "details", "calibration_rows")
"""What is kept of a fitted rule beside its kind, settings and value."""


class Threshold(ABC):
    """A rule and, once fitted, its value.

    `false_alarm_rate` is the share of normal windows that the rule aims to judge `anomaly`, None
    for a rule that promises none. `settings` are the arguments of the constructor that make the
    same rule again. `guarantee` says in one line what is promised, `warning` what the user must
    know, `reason` why a rule that chooses chose so; each is empty when there is nothing to say.
    `details` are the figures behind the value, by name.
    """

    kind: ClassVar[str]
    wants_labels: bool = False
    """Whether `fit` uses labelled windows where there are any."""
    requires_labels: bool = False
    """Whether `fit` is impossible without them."""

    def __init__(self) -> None:
        self._value: float | None = None
        self.settings: dict[str, float | None] = {}
        self.false_alarm_rate: float | None = None
        self.calibration_rows = 0
        self._forget()

    def _forget(self) -> None:
        self.guarantee = self.warning = self.reason = ""
        self.details: Details = {}

    def fit(self, evidence: CalibrationScores | FloatArray) -> Self:
        """Set the value from scores of held-out normal windows; an array holds those of windows
        that do not depend on one another.

        Raises DataError without any.
        """
        if not isinstance(evidence, CalibrationScores):
            evidence = CalibrationScores(evidence)
        if len(evidence) == 0:
            raise DataError(f"threshold '{self.kind}' has no calibration rows to be fitted on")
        self._forget()
        self.calibration_rows = len(evidence)
        self._value = float(self._fit(evidence))
        return self

    @abstractmethod
    def _fit(self, evidence: CalibrationScores) -> float:
        """The value; sets what there is to say of it."""

    @property
    def value(self) -> float:
        """The score above which a window is an anomaly; raises NotCalibrated before `fit`."""
        if self._value is None:
            raise NotCalibrated(f"threshold '{self.kind}' has not been calibrated")
        return self._value

    @property
    def in_effect(self) -> str:
        """The kind of rule that set the value: its own, unless the rule chooses among others."""
        return self.kind

    @property
    def follows_rank_law(self) -> bool:
        """Whether false alarms on exchangeable windows follow the law of split conformal: the
        value is the calibration score of the conformal rank, and no score is from cross-fitting."""
        return self.in_effect == "conformal" and not self.fell_back and not self.cross_fitted

    @property
    def cross_fitted(self) -> bool:
        """Whether each calibration score belongs to a fit without its own block of rows."""
        return BLOCKS in self.details

    @property
    def fell_back(self) -> bool:
        """Whether the rule could not be kept and a fitted tail stands in."""
        return FALLBACK in self.details

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "settings": dict(self.settings),
            "value": self.value,
            **{name: getattr(self, name) for name in STORED},
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
        threshold = THRESHOLDS[stored["kind"]](**stored["settings"])
        threshold._value = float(value)
        for name in STORED:
            setattr(threshold, name, stored[name])
        return threshold


THRESHOLDS: dict[str, type[Threshold]] = {}
"""Every kind that a bundle may name; the package fills it with its classes."""
