"""The conformal threshold."""

from kizashi.runtime.calibration import ExponentialTail, conformal_rank, fewest_rows
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.rate import RateThreshold
from kizashi.runtime.thresholds.rule import EXPONENTIAL_TAIL, FALLBACK


class ConformalThreshold(RateThreshold):
    """The split-conformal threshold: at most a share `alpha` of new normal rows exceeds it.

    Its value is the calibration score of `conformal_rank`, exact for any law of scores as long as
    rows are exchangeable. With fewer rows than `fewest_rows(alpha)` there is no such score: the
    fitted exponential tail stands in, without the guarantee, and `warning` says so.
    """

    kind = "conformal"

    def _fit(self, evidence: CalibrationScores) -> float:
        alpha, rows = self.alpha, len(evidence)
        rank = conformal_rank(rows, alpha)
        if rank <= rows:
            self.guarantee = (
                f"at most {alpha:.4%} of exchangeable normal rows, from {rows} calibration rows"
            )
            return float(evidence.ordered[rank - 1])
        self.details[FALLBACK] = EXPONENTIAL_TAIL
        self.guarantee = (
            f"none: exponential tail fitted to the largest scores of {rows} calibration rows"
        )
        self.warning = (
            f"a conformal threshold at {alpha:.4%} needs at least {fewest_rows(alpha)} calibration "
            f"rows and there are {rows}; the fallback '{EXPONENTIAL_TAIL}' is used, without a "
            "guarantee"
        )
        return ExponentialTail(evidence.scores).quantile(alpha)
