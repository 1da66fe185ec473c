"""What any threshold would find of labelled rows, told in a tag."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kizashi.data.labelled import LabelledRows
from kizashi.evaluation.labelled_scores import labelled_scores
from kizashi.evaluation.report import evaluate
from kizashi.runtime.detector import Detector
from kizashi.runtime.thresholds import QuantileThreshold
from kizashi.runtime.windows import Rows
from tests.bundles import press_line_bundle, press_line_rows

LONGEST_TAG = 5000
"""Of an MLflow run, in the oldest release that is allowed."""


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("press-line")).detector


@pytest.fixture(scope="module")
def rows() -> LabelledRows:
    """Normal rows, faulty ones that are off by more and more, and some that count as neither."""
    normal_NF = press_line_rows(3000, seed=8)
    faulty_NF = press_line_rows(500, seed=9) + np.linspace(0, 0.4, 500)[:, None] * [1, -1, 0]
    developing_NF = press_line_rows(100, seed=10)
    label_N = np.repeat([False, True, False], [3000, 500, 100])
    fault_N = np.repeat(["", "wear", "wear"], [3000, 500, 100])
    return LabelledRows(
        Rows(np.concatenate([normal_NF, faulty_NF, developing_NF])), label_N, fault_N
    )


def test_at_the_threshold_it_says_what_the_evaluation_says(
    detector: Detector, rows: LabelledRows
) -> None:
    told = json.loads(labelled_scores(detector, rows))
    measured = evaluate(detector, Rows(press_line_rows(100, seed=3)), rows)["labelled"]
    at = told["score"].index(detector.threshold.value)
    found, false = told["faulty"][at], told["normal"][at]
    assert (told["faulty_rows"], told["normal_rows"]) == (500, 3000)
    assert found / 500 == measured["recall"]
    assert found / (found + false) == measured["precision"]


def test_at_each_of_its_scores_it_counts_what_a_threshold_there_would_find(
    detector: Detector, rows: LabelledRows
) -> None:
    told = json.loads(labelled_scores(detector, rows))
    windows_BTF, label_B = rows.windows(1)
    score_B = detector.score(windows_BTF)
    assert told["score"] == sorted(told["score"]) and told["score"][0] == 0
    assert told["faulty"][-1] == told["normal"][-1] == 0
    for value, faulty, normal in zip(told["score"], told["faulty"], told["normal"], strict=True):
        quantile = QuantileThreshold(0.5).fit(detector.calibration.scores)
        quantile._value = value
        anomaly_B = replace(detector, threshold=quantile).decide(windows_BTF, score_B)
        assert (faulty, normal) == (
            int((anomaly_B & label_B).sum()),
            int((anomaly_B & ~label_B).sum()),
        )


def test_it_fits_into_a_tag_however_many_rows_there_are(
    detector: Detector, rows: LabelledRows
) -> None:
    many = LabelledRows(
        Rows(np.tile(rows.rows.values_NF, (20, 1))),
        np.tile(rows.label_N, 20),
        np.tile(rows.fault_N, 20),
    )
    assert len(labelled_scores(detector, many)) < LONGEST_TAG


def test_readings_beyond_their_instrument_are_found_at_any_threshold(detector: Detector) -> None:
    rows_NF = press_line_rows(20, seed=8)
    rows_NF[:3, 0] = 25.0
    label_N = np.arange(20) < 5
    told = json.loads(
        labelled_scores(
            detector, LabelledRows(Rows(rows_NF), label_N, np.where(label_N, "wear", ""))
        )
    )
    assert told["faulty"][-1] == 3 and told["normal"][-1] == 0


def test_windows_are_labelled_by_their_last_row(tmp_path: Path, rows: LabelledRows) -> None:
    windowed = press_line_bundle(tmp_path / "windowed", window_length=4).detector
    told = json.loads(labelled_scores(windowed, rows))
    assert (told["faulty_rows"], told["normal_rows"]) == (500, 2997)
