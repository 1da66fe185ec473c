"""What recalibration does to scores with missing values."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kizashi.evaluation.metrics import false_alarm_band
from kizashi.runtime.detector import Detector
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from pipelines.threshold import NewRows, recalibrated
from tests.bundles import press_line_rows
from tests.filling import filling_bundle

SHIFT = np.array([0.0, 0.05, 0.0])
ALPHA = 0.1


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder: Path = tmp_path_factory.mktemp("filling")
    return filling_bundle(folder, alpha=ALPHA).detector


def test_the_rate_holds_for_rows_that_have_moved_whatever_is_missing(present: Detector) -> None:
    new = NewRows(pd.DataFrame(), Rows(press_line_rows(1500, seed=4) + SHIFT), {}, None)
    after = recalibrated(present, ConformalThreshold(ALPHA), new, in_time=False, keep=False)
    low, high = false_alarm_band(1500, 2000, ALPHA, 0.999)
    moved_BTF = (press_line_rows(2000, seed=5) + SHIFT)[:, None]
    for sensor in range(3):
        left_BTF = moved_BTF.copy()
        left_BTF[:, :, sensor] = np.nan
        assert low <= np.mean(after.score(left_BTF) > after.threshold.value) <= high
    assert not low <= np.mean(present.score(moved_BTF) > present.threshold.value) <= high


def test_windows_that_were_kept_stay_when_new_ones_join(present: Detector) -> None:
    new = NewRows(pd.DataFrame(), Rows(press_line_rows(400, seed=4)), {}, None)
    after = recalibrated(present, ConformalThreshold(ALPHA), new, in_time=False, keep=True)
    assert present.missing is not None
    assert after.missing is not None
    kept, joined = present.missing.scaled, after.missing.scaled
    assert len(joined) == len(kept) + 400
    assert np.array_equal(joined[: len(kept)], kept)
