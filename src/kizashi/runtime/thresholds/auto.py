"""The rule that chooses a rule."""

from kizashi.runtime.calibration import fewest_rows
from kizashi.runtime.thresholds.blocks import BlocksThreshold
from kizashi.runtime.thresholds.conformal import ConformalThreshold
from kizashi.runtime.thresholds.dependence import DEPENDENT, dependence
from kizashi.runtime.thresholds.evidence import CalibrationScores
from kizashi.runtime.thresholds.labelled import LabelledThreshold
from kizashi.runtime.thresholds.pot import LARGEST_ALPHA, PotThreshold
from kizashi.runtime.thresholds.rate import RateThreshold
from kizashi.runtime.thresholds.rule import Threshold

ENOUGH_LABELLED = 30
"""Labelled windows, faulty ones and normal ones, below which a choice by labels is chance."""


class AutoThreshold(RateThreshold):
    """The rule that the data allow for the rate asked for, and why.

    In this order: `labelled` where there are enough labelled rows (and `labels` lets it);
    `blocks` where rows follow and depend on one another, or were scored by cross-fitting in blocks
    of time; `conformal` where there are rows enough
    for the rate; `pot` where the tail fits; and the exponential tail that `conformal` falls back
    to.
    """

    kind = "auto"

    def __init__(
        self,
        alpha: float | None = None,
        alarms_per_day: float | None = None,
        sampling_period: float | None = None,
        labels: bool = True,
    ) -> None:
        super().__init__(alpha, alarms_per_day, sampling_period)
        self.wants_labels = labels
        self.settings |= {"labels": labels}

    @property
    def in_effect(self) -> str:
        """The kind of the rule that was chosen, this rule's own before `fit`."""
        return str(self.details.get("rule", self.kind))

    def _fit(self, evidence: CalibrationScores) -> float:
        rule, because = self._choose(evidence)
        self.reason = f"auto took '{rule.kind}': {'; '.join(because)}"
        self.details = {"rule": rule.kind, **rule.details}
        self.guarantee, self.warning = rule.guarantee, rule.warning
        return rule.value

    def _choose(self, evidence: CalibrationScores) -> tuple[Threshold, list[str]]:
        """The fitted rule, and what was found on the way to it."""
        alpha, rows, found = self.alpha, len(evidence), []
        enough, seen = self._labels(evidence)
        found.append(seen)
        if enough:
            return LabelledThreshold(alpha).fit(evidence), found
        if evidence.in_time and evidence.blocks:
            found.append("rows follow one another, and were scored by cross-fitting in blocks")
            return BlocksThreshold(alpha).fit(evidence), found
        if evidence.in_time:
            length = dependence(evidence.scores, alpha)
            dependent = length >= DEPENDENT
            found.append(
                f"rows follow one another, and {length:.1f} tell as much of high scores as one "
                "independent row"
                if dependent
                else "rows follow one another, and their high scores do not depend on it"
            )
            if dependent:
                return BlocksThreshold(alpha).fit(evidence), found
        if rows >= fewest_rows(alpha):
            found.append(f"{rows} calibration rows are enough for {alpha:.4%}")
            return ConformalThreshold(alpha).fit(evidence), found
        found.append(
            f"{rows} calibration rows are fewer than the {fewest_rows(alpha)} that a "
            f"conformal threshold at {alpha:.4%} needs"
        )
        if alpha <= LARGEST_ALPHA:
            tail = PotThreshold(alpha).fit(evidence)
            if not tail.warning:
                found.append("a generalised Pareto tail fits")
                return tail, found
            found.append(tail.warning)
        return ConformalThreshold(alpha).fit(evidence), found

    def _labels(self, evidence: CalibrationScores) -> tuple[bool, str]:
        """Whether labelled windows are enough to choose by, and what was found."""
        if not self.wants_labels:
            return False, "labels are not asked for"
        if evidence.labels is None:
            return False, "there are no labelled rows to choose by"
        faulty = int(evidence.labels.sum())
        normal = len(evidence.labels) - faulty
        counted = f"{faulty} faulty and {normal} normal labelled rows"
        if min(faulty, normal) < ENOUGH_LABELLED:
            return False, f"{counted} are too few to choose by ({ENOUGH_LABELLED} of each)"
        return True, f"there are {counted} to choose by"
