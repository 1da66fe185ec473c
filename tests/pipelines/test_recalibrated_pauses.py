"""A windowed version, recalibrated on rows with pauses."""

import numpy as np
import pandas as pd
import pytest

from kizashi.errors import DataError
from kizashi.runtime.detector import Detector
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from pipelines.threshold import NewRows, recalibrated
from tests.bundles import press_line_bundle, press_line_rows


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("windowed"), window_length=4).detector


def new(*lengths: int) -> NewRows:
    """Rows in stretches of these lengths."""
    stretch_N = np.repeat(np.arange(len(lengths)), lengths)
    rows_NF = press_line_rows(len(stretch_N), seed=4)
    return NewRows(pd.DataFrame(), Rows(rows_NF, stretch_N), {}, None)


def test_only_windows_within_a_stretch_give_scores(windowed: Detector) -> None:
    rows = new(100, 2, 98)
    after = recalibrated(windowed, ConformalThreshold(0.05), rows, in_time=True, keep=False)
    values_NF = rows.rows.values_NF
    expected = [
        windowed.score(windowed.windows(part)) for part in (values_NF[:100], values_NF[102:])
    ]
    np.testing.assert_allclose(after.calibration.scores, np.concatenate(expected), rtol=1e-5)
    assert after.threshold.calibration_rows == 97 + 95


def test_too_few_windows_between_pauses_are_counted(windowed: Detector) -> None:
    message = (
        "^80 good rows in 20 stretches without a pause hold 20 windows of 4 rows, which are too "
        "few to calibrate on; at least 30 are needed$"
    )
    with pytest.raises(DataError, match=message):
        recalibrated(windowed, ConformalThreshold(0.05), new(*[4] * 20), in_time=True, keep=False)
