"""The peaks-over-threshold rule."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError
from kizashi.runtime.calibration import TAIL_SHARE, ExponentialTail
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.pareto import ParetoLaw
from kizashi.runtime.thresholds.rate import RateThreshold
from kizashi.runtime.thresholds.rule import EXPONENTIAL_TAIL, FALLBACK

FloatArray = npt.NDArray[np.float64]

LARGEST_ALPHA = 0.2
"""The start level lies at twice the rate asked for, at least: above it begins no tail."""
FEWEST, ENOUGH, MOST = 10, 30, 1000
"""Excesses: below the first no law is fitted, below the second with a warning, and not more than
the last, because the law is that of the far tail; where twice the rate are more, a random draw."""
STEP = 0.7
"""From one start level to the next higher one this share of excesses stays."""
SIGNIFICANCE = 0.05
HEAVY = 0.5
"""The shape from which on the variance of excesses is infinite."""
BAND = 0.95


@dataclass(frozen=True)
class Tail:
    """A law fitted above one start level, the p-value of its misfit, and simulated refits."""

    start: float
    share: float
    excesses: FloatArray
    law: ParetoLaw
    misfit: float
    p_value: float
    refits: list[ParetoLaw]

    def quantile(self, alpha: float) -> float:
        """The score that a share `alpha` of rows exceeds."""
        return self.start + float(self.law.quantile(alpha / self.share))

    def band(self, alpha: float, rows: int, rng: np.random.Generator) -> tuple[float, float]:
        """The central BAND of that score over refits, with the start level's share as uncertain."""
        count = round(self.share * rows)
        shares = np.maximum(rng.beta(count, rows - count + 1, len(self.refits)), alpha)
        values = [
            self.start + float(law.quantile(alpha / share))
            for law, share in zip(self.refits, shares, strict=True)
        ]
        low, high = np.quantile(values, [(1 - BAND) / 2, (1 + BAND) / 2])
        return float(low), float(high)


class PotThreshold(RateThreshold):
    """Peaks over threshold: a generalised Pareto law fitted to the excesses over a start level
    names the score that a share `alpha` of rows exceeds, even where there are few rows or none.

    The start level first leaves a share of 0.1 of the rows above it (twice `alpha` if that is
    more, ENOUGH rows where there are few, MOST at most). While the Anderson-Darling test rejects
    the law at SIGNIFICANCE it goes up, as long as ENOUGH excesses stay; if none is accepted, the
    one that fits best is taken, with a warning. The p-value and the band of the threshold come from
    simulated refits. It promises nothing: the tail beyond the largest score is an extrapolation.

    Raises ConfigurationError for a rate above LARGEST_ALPHA.
    """

    kind = "pot"

    def __init__(
        self,
        alpha: float | None = None,
        alarms_per_day: float | None = None,
        sampling_period: float | None = None,
    ) -> None:
        super().__init__(alpha, alarms_per_day, sampling_period)
        if self.alpha > LARGEST_ALPHA:
            asked = (
                f"the false alarm rate alpha is {self.alpha!r}"
                if alarms_per_day is None
                else f"alarms_per_day is {alarms_per_day!r}, a false alarm rate of {self.alpha:g} "
                f"with one row every {sampling_period:g} s"
            )
            raise ConfigurationError(
                f"{asked}; peaks over threshold need at most {LARGEST_ALPHA}, because above it is "
                "no tail"
            )

    def _fit(self, evidence: CalibrationScores) -> float:
        rng = np.random.default_rng(0)
        rows, tail = len(evidence), _accepted(evidence.ordered, self.alpha, rng)
        if tail is None:
            self.details[FALLBACK] = EXPONENTIAL_TAIL
            self.guarantee = (
                f"none: exponential tail fitted to the largest scores of {rows} calibration rows"
            )
            self.warning = (
                f"peaks over threshold need at least {FEWEST} different scores above their start "
                f"level, which {rows} calibration rows do not give; the fallback "
                f"'{EXPONENTIAL_TAIL}' is used"
            )
            return ExponentialTail(evidence.scores).quantile(self.alpha)
        low, high = tail.band(self.alpha, rows, rng)
        self.details = {
            "shape": tail.law.shape,
            "scale": tail.law.scale,
            "start": tail.start,
            "excesses": len(tail.excesses),
            "anderson_darling": tail.misfit,
            "p_value": tail.p_value,
            "band_low": low,
            "band_high": high,
        }
        self.guarantee = (
            f"none: generalised Pareto tail of shape {tail.law.shape:.2f} fitted to "
            f"{len(tail.excesses)} of the largest scores of {rows} calibration rows; the threshold "
            f"lies between {low:.4g} and {high:.4g} with {BAND:.0%} confidence if that law holds"
        )
        self.warning = _warning(tail)
        return tail.quantile(self.alpha)


def _accepted(ordered: FloatArray, alpha: float, rng: np.random.Generator) -> Tail | None:
    """The lowest start level whose law is not rejected, else the one that fits best."""
    rows = len(ordered)
    count = round(max(TAIL_SHARE, 2 * alpha) * rows)
    count = min(max(count, min(ENOUGH, rows // 2)), max(MOST, round(2 * alpha * rows)))
    tried: list[Tail] = []
    while count >= (ENOUGH if tried else FEWEST) and count > alpha * rows:
        tail = _above(ordered, count, rng)
        if tail is not None:
            tried.append(tail)
            if tail.p_value >= SIGNIFICANCE:
                return tail
        count = int(STEP * count)
    return max(tried, key=lambda tail: tail.p_value, default=None)


def _above(ordered: FloatArray, count: int, rng: np.random.Generator) -> Tail | None:
    start = ordered[-count - 1]
    excesses = ordered[ordered > start] - start
    # Excesses of 1e-300 and the like leave no digits to fit with.
    excesses = excesses[excesses > 1e-12 * excesses.max(initial=0.0)]
    if len(excesses) < FEWEST or excesses[0] == excesses[-1]:
        return None
    share = len(excesses) / len(ordered)
    if len(excesses) > MOST:  # at a rate for which the level cannot be higher
        excesses = np.sort(rng.choice(excesses, MOST, replace=False))
    law = ParetoLaw.fit(excesses)
    misfit = law.misfit(excesses)
    samples = law.simulated(len(excesses), rng)
    refits = [ParetoLaw.fit(sample) for sample in samples]
    as_bad = sum(
        refit.misfit(sample) >= misfit for refit, sample in zip(refits, samples, strict=True)
    )
    p_value = (1 + as_bad) / (1 + len(refits))
    return Tail(float(start), share, excesses, law, misfit, p_value, refits)


def _warning(tail: Tail) -> str:
    """What makes the tail doubtful, empty where nothing does."""
    doubts = []
    if tail.p_value < SIGNIFICANCE:
        doubts.append(
            f"no start level gives a generalised Pareto tail (Anderson–Darling "
            f"{tail.misfit:.2f}, p = {tail.p_value:.3f})"
        )
    if tail.law.shape > HEAVY:
        doubts.append(
            f"the tail is so heavy (shape {tail.law.shape:.2f}) that the threshold rests on a few "
            "scores"
        )
    if len(tail.excesses) < ENOUGH:
        doubts.append(f"the tail is fitted to {len(tail.excesses)} excesses; {ENOUGH} are needed")
    return "; ".join(doubts)
