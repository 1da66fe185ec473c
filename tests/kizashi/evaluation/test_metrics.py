import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from kizashi.evaluation.metrics import auprc, auroc, false_alarm_band, precision_recall_f1
from kizashi.runtime.thresholds import ConformalThreshold

# Few different scores, so that many windows tie.
windows = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60)


@settings(deadline=None)
@given(windows)
def test_auroc_and_auprc_are_those_of_scikit_learn(pairs: list[tuple[bool, int]]) -> None:
    label_B = np.array([label for label, _ in pairs])
    score_B = np.array([score for _, score in pairs], dtype=float)
    if label_B.any() and not label_B.all():
        assert auroc(label_B, score_B) == pytest.approx(roc_auc_score(label_B, score_B))
    if label_B.any():
        expected = average_precision_score(label_B, score_B)
        assert auprc(label_B, score_B) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_precision_recall_and_f1_are_those_of_scikit_learn(
    pairs: list[tuple[bool, bool]],
) -> None:
    label_B, anomaly_B = np.array(pairs).T
    expected = precision_recall_fscore_support(
        label_B, anomaly_B, average="binary", zero_division=0.0
    )
    assert precision_recall_f1(label_B, anomaly_B) == pytest.approx(expected[:3])


def test_a_class_that_is_missing_has_no_auroc_or_auprc() -> None:
    score_B = np.array([1.0, 2.0])
    assert math.isnan(auroc(np.array([True, True]), score_B))
    assert math.isnan(auroc(np.array([False, False]), score_B))
    assert math.isnan(auprc(np.array([False, False]), score_B))


def test_a_perfect_ranking_has_an_auroc_and_auprc_of_1_and_the_reverse_an_auroc_of_0() -> None:
    label_B = np.array([False] * 90 + [True] * 10)
    score_B = np.arange(100.0)
    assert auroc(label_B, score_B) == 1
    assert auprc(label_B, score_B) == 1
    assert auroc(label_B, -score_B) == 0


@pytest.mark.parametrize(
    ("calibration_rows", "normal_rows", "alpha"), [(199, 300, 0.05), (500, 2000, 0.01)]
)
def test_the_band_holds_the_share_of_simulated_false_alarms_that_it_promises(
    calibration_rows: int, normal_rows: int, alpha: float
) -> None:
    rng = np.random.default_rng(0)
    low, high = false_alarm_band(calibration_rows, normal_rows, alpha)
    trials = 3000
    rates = np.empty(trials)
    for trial in range(trials):
        threshold = ConformalThreshold(alpha).fit(rng.exponential(size=calibration_rows))
        rates[trial] = (rng.exponential(size=normal_rows) > threshold.value).mean()
    within = float(((rates >= low) & (rates <= high)).mean())
    # The law is discrete: the band may hold a little more than 95 %, and not less.
    assert 0.94 <= within <= 0.98
    assert (rates < low).mean() <= 0.03
    assert (rates > high).mean() <= 0.03


def test_the_band_narrows_around_alpha_with_more_rows() -> None:
    narrow, wide = false_alarm_band(20_000, 20_000, 0.01), false_alarm_band(1000, 1000, 0.01)
    assert wide[0] < narrow[0] < 0.01 < narrow[1] < wide[1]


def test_a_smaller_coverage_gives_a_narrower_band() -> None:
    half, usual = false_alarm_band(999, 1000, 0.05, 0.5), false_alarm_band(999, 1000, 0.05)
    assert usual[0] < half[0] < half[1] < usual[1]


@pytest.mark.parametrize(("calibration_rows", "normal_rows"), [(998, 5000), (5000, 0)])
def test_without_a_law_anything_is_within_the_band(calibration_rows: int, normal_rows: int) -> None:
    assert false_alarm_band(calibration_rows, normal_rows, 0.001) == (0.0, 1.0)
