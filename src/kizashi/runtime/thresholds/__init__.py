"""Threshold rules: calibration scores to the score above which the verdict is `anomaly`.

Each rule is fitted on scores of held-out normal windows, never on training scores: those are far
too low, because the network has seen the rows.
"""

from kizashi.runtime.thresholds.auto import AutoThreshold
from kizashi.runtime.thresholds.blocks import BlocksThreshold
from kizashi.runtime.thresholds.conformal import ConformalThreshold
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.labelled import LabelledThreshold
from kizashi.runtime.thresholds.mad import MadThreshold
from kizashi.runtime.thresholds.pot import PotThreshold
from kizashi.runtime.thresholds.quantile import QuantileThreshold
from kizashi.runtime.thresholds.rate import DEFAULT_ALPHA
from kizashi.runtime.thresholds.rule import THRESHOLDS, Threshold

__all__ = [
    "DEFAULT_ALPHA",
    "THRESHOLDS",
    "AutoThreshold",
    "BlocksThreshold",
    "CalibrationScores",
    "ConformalThreshold",
    "LabelledThreshold",
    "MadThreshold",
    "PotThreshold",
    "QuantileThreshold",
    "Threshold",
]

RULES: tuple[type[Threshold], ...] = (
    ConformalThreshold,
    QuantileThreshold,
    MadThreshold,
    PotThreshold,
    BlocksThreshold,
    LabelledThreshold,
    AutoThreshold,
)
THRESHOLDS.update({rule.kind: rule for rule in RULES})
