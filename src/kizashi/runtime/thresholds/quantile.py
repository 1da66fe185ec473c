"""The quantile of calibration scores."""

import numpy as np

from kizashi.errors import ConfigurationError
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.rule import Threshold


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

    def _fit(self, evidence: CalibrationScores) -> float:
        self.guarantee = f"the {self.quantile:.2%} point of {len(evidence)} calibration rows"
        return float(np.quantile(evidence.scores, self.quantile, method="higher"))
