"""Threshold rules: calibration scores to the score above which the verdict is `anomaly`.

Each rule is fitted on scores of held-out normal windows, never on training scores: those are far
too low, because the network has seen the rows.
"""

from kizashi.runtime.thresholds.conformal import ConformalThreshold
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.mad import MadThreshold
from kizashi.runtime.thresholds.quantile import QuantileThreshold
from kizashi.runtime.thresholds.rate import DEFAULT_ALPHA
from kizashi.runtime.thresholds.rule import THRESHOLDS, Threshold

__all__ = [
    "DEFAULT_ALPHA",
    "THRESHOLDS",
    "CalibrationScores",
    "ConformalThreshold",
    "MadThreshold",
    "QuantileThreshold",
    "Threshold",
]

RULES: tuple[type[Threshold], ...] = (ConformalThreshold, QuantileThreshold, MadThreshold)
THRESHOLDS.update({rule.kind: rule for rule in RULES})
