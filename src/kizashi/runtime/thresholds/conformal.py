"""The conformal threshold."""

from kizashi.runtime.calibration import ExponentialTail, conformal_rank, fewest_rows
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.rate import RateThreshold
from kizashi.runtime.thresholds.rule import BLOCKS, EXPONENTIAL_TAIL, FALLBACK


class ConformalThreshold(RateThreshold):
    """The split-conformal threshold: at most a share `alpha` of new normal rows exceeds it.

    Its value is the calibration score of `conformal_rank`, exact for any law of scores as long as
    rows are exchangeable. With fewer rows than `fewest_rows(alpha)` there is no such score: the
    fitted exponential tail stands in, without the guarantee, and `warning` says so. Scores from
    cross-fitting give no exact promise: each belongs to a fit other than the one that serves.
    """

    kind = "conformal"

    def _fit(self, evidence: CalibrationScores) -> float:
        alpha, rows = self.alpha, len(evidence)
        rank = conformal_rank(rows, alpha)
        if evidence.blocks:
            self.details[BLOCKS] = len(evidence.blocks)
        if rank <= rows:
            held_out = f"of exchangeable normal rows, from {rows} calibration rows"
            self.guarantee = f"at most {alpha:.4%} {held_out}"
            if evidence.blocks:
                blocks = f"{len(evidence.blocks)} blocks, each scored by a fit without it"
                self.guarantee = f"none: about {alpha:.4%} {held_out} in {blocks}"
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
