"""The robust threshold: median and median absolute deviation."""

import math

import numpy as np

from kizashi.errors import ConfigurationError
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.rule import Threshold


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

    def _fit(self, evidence: CalibrationScores) -> float:
        median = float(np.median(evidence.scores))
        self.guarantee = (
            f"none: median + {self.deviations:g} robust standard deviations of {len(evidence)} "
            "calibration rows"
        )
        return median + self.deviations * 1.4826 * float(
            np.median(np.abs(evidence.scores - median))
        )
