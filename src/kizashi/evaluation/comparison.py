"""Two detectors on the same rows: what promotion is decided on."""

from collections.abc import Sequence
from dataclasses import dataclass

from kizashi.data.labelled import LabelledRows
from kizashi.evaluation.report import evaluate, numbers
from kizashi.runtime.detector import Detector
from kizashi.runtime.windows import Rows

MEASURES = (
    ("holdout.false_alarm_rate", "false alarm rate on holdout"),
    ("labelled.recall", "faulty rows found"),
    ("labelled.precision", "precision"),
    ("labelled.f1", "F1"),
    ("labelled.auroc", "AUROC"),
    ("labelled.auprc", "AUPRC"),
)


@dataclass(frozen=True)
class Measure:
    """One measure of both detectors; None where a detector has no such figure."""

    name: str
    candidate: float | None
    production: float | None


def compare(
    candidate: Detector,
    production: Detector,
    holdout: Rows,
    labelled: LabelledRows | None,
) -> Sequence[Measure]:
    """Both detectors measured on the same rows, which must be in the sensors of both.

    The holdout rows are the candidate's: the production version may have been trained on some of
    them, which flatters its false alarm rate.
    """
    new = dict(numbers(evaluate(candidate, holdout, labelled)))
    old = dict(numbers(evaluate(production, holdout, labelled)))
    return [
        Measure(title, new.get(name), old.get(name))
        for name, title in MEASURES
        if name in new or name in old
    ]
