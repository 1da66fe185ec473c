from dataclasses import replace

import numpy as np
import pytest

from kizashi.runtime.thresholds import (
    AutoThreshold,
    BlocksThreshold,
    CalibrationScores,
    ConformalThreshold,
    LabelledThreshold,
    PotThreshold,
    Threshold,
)
from tests.scores import dependent, with_labels

RNG = np.random.default_rng(0)
MANY = RNG.exponential(size=3000)
FEW = RNG.exponential(size=400)
SERIES = dependent(3000, 0.9, RNG)
NO_TAIL = np.concatenate([RNG.normal(size=350), np.round(RNG.uniform(9, 12, 50))])

CHOICES = [
    (with_labels(MANY), LabelledThreshold(0.01), "there are 100 faulty and 300 normal labelled"),
    (
        CalibrationScores(SERIES, in_time=True),
        BlocksThreshold(0.01),
        "tell as much of high scores as one independent row",
    ),
    (CalibrationScores(MANY), ConformalThreshold(0.01), "3000 calibration rows are enough for 1."),
    (
        CalibrationScores(MANY, in_time=True),
        ConformalThreshold(0.01),
        "their high scores do not depend on it",
    ),
    (CalibrationScores(FEW), PotThreshold(0.001), "fewer than the 999 that a conformal threshold"),
    (CalibrationScores(NO_TAIL), ConformalThreshold(0.001), "no start level gives"),
    (CalibrationScores(FEW[:8]), ConformalThreshold(0.1), "8 calibration rows are fewer than"),
]


@pytest.mark.parametrize(("evidence", "rule", "because"), CHOICES)
def test_the_rule_that_the_data_allow_sets_the_value_and_the_reason_is_said(
    evidence: CalibrationScores, rule: Threshold, because: str
) -> None:
    threshold = AutoThreshold(rule.false_alarm_rate).fit(evidence)
    rule.fit(evidence)
    assert threshold.in_effect == rule.kind
    assert threshold.reason.startswith(f"auto took '{rule.kind}': ")
    assert because in threshold.reason
    assert (threshold.value, threshold.guarantee) == (rule.value, rule.guarantee)
    assert threshold.warning == rule.warning
    assert threshold.details == {"rule": rule.kind, **rule.details}


def test_a_stored_choice_is_still_known() -> None:
    threshold = AutoThreshold(0.01).fit(CalibrationScores(SERIES, in_time=True))
    restored = Threshold.from_dict(threshold.to_dict())
    assert restored.in_effect == "blocks"
    assert restored.reason == threshold.reason


def test_few_labels_are_left_aside_and_so_are_those_that_are_not_asked_for() -> None:
    evidence = with_labels(MANY)
    assert evidence.labelled_scores is not None and evidence.labels is not None
    few = replace(
        evidence, labelled_scores=evidence.labelled_scores[:329], labels=evidence.labels[:329]
    )
    left = AutoThreshold(0.01).fit(few)
    assert left.in_effect == "conformal"
    assert "29 faulty and 300 normal labelled rows are too few to choose by" in left.reason
    assert AutoThreshold(0.01, labels=False).fit(evidence).in_effect == "conformal"


def test_only_the_conformal_rank_follows_the_law_of_the_band() -> None:
    assert AutoThreshold(0.01).fit(MANY).follows_rank_law
    assert not AutoThreshold(0.001).fit(FEW).follows_rank_law
    assert not AutoThreshold(0.1).fit(FEW[:8]).follows_rank_law
    assert ConformalThreshold(0.01).fit(MANY).follows_rank_law
