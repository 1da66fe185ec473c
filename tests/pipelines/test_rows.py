"""Which labelled rows choose a threshold, and which ones it is reported on."""

from dataclasses import replace

import numpy as np
import pytest

from kizashi.data.labelled import LabelledRows
from kizashi.errors import DataError
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.thresholds import (
    AutoThreshold,
    CalibrationScores,
    ConformalThreshold,
    LabelledThreshold,
    Threshold,
)
from kizashi.runtime.windows import Rows
from pipelines.rows import evaluated, rows_to_choose_by
from tests.bundles import ANOMALOUS_ROW, press_line_bundle, press_line_rows


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("bundle"))


def labelled(*faults: slice) -> LabelledRows:
    rows_NF, label_N = press_line_rows(600, seed=4), np.zeros(600, dtype=bool)
    for fault in faults:
        rows_NF[fault], label_N[fault] = ANOMALOUS_ROW, True
    return LabelledRows(Rows(rows_NF), label_N, np.where(label_N, "wear", ""))


TWO = labelled(slice(100, 150), slice(400, 440))


def test_only_a_rule_that_wants_labels_is_given_rows_and_then_those_of_the_first_half() -> None:
    assert rows_to_choose_by(ConformalThreshold(), TWO) is None
    assert rows_to_choose_by(AutoThreshold(labels=False), TWO) is None
    assert rows_to_choose_by(AutoThreshold(), None) is None
    for rule in (LabelledThreshold(), AutoThreshold()):
        chosen = rows_to_choose_by(rule, TWO)
        assert chosen is not None and chosen.label_N.sum() == 50


def test_with_one_fault_a_rule_that_can_do_without_labels_does() -> None:
    one = labelled(slice(100, 150))
    assert rows_to_choose_by(AutoThreshold(), one) is None
    with pytest.raises(DataError, match="two are needed"):
        rows_to_choose_by(LabelledThreshold(), one)


def test_a_rule_that_needs_labels_says_so_before_anything_is_trained() -> None:
    with pytest.raises(DataError, match="threshold 'labelled' needs labelled rows"):
        rows_to_choose_by(LabelledThreshold(), None)


def judged(bundle: Bundle, threshold: Threshold) -> Bundle:
    """The bundle with this threshold, fitted as the pipelines fit it."""
    detector = bundle.detector
    evidence = CalibrationScores(detector.calibration.scores)
    chosen = rows_to_choose_by(threshold, TWO)
    if chosen is not None:
        windows_BTF, label_B = chosen.windows(1)
        evidence = replace(evidence, labelled_scores=detector.score(windows_BTF), labels=label_B)
    return replace(bundle, detector=replace(detector, threshold=threshold.fit(evidence)))


def test_a_threshold_chosen_by_labels_is_reported_on_the_others_and_the_report_says_so(
    bundle: Bundle,
) -> None:
    holdout_NF = press_line_rows(300, seed=5)
    for rule in (LabelledThreshold(0.01), AutoThreshold(0.01)):
        report = evaluated(judged(bundle, rule), Rows(holdout_NF), TWO)["labelled"]
        assert report["faulty_rows"] == 40
        assert (
            "chosen by the first 275 labelled rows; these figures are of the other 325"
            in (report["warning"])
        )


def test_every_other_threshold_is_reported_on_all_labelled_rows(bundle: Bundle) -> None:
    holdout_NF = press_line_rows(300, seed=5)
    for rule in (ConformalThreshold(0.01), AutoThreshold(0.01, labels=False)):
        report = evaluated(judged(bundle, rule), Rows(holdout_NF), TWO)["labelled"]
        assert report["faulty_rows"] == 90
        assert "warning" not in report
