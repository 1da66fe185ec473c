"""What false alarm rate is kept with a sensor missing, as the mean over calibration sets: the one
asked for, or a little more where the kept windows are few for it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.runtime.detector import Detector
from kizashi.runtime.missing import MOST_WINDOWS, RankMap
from kizashi.runtime.scoring.scorer import evenly
from kizashi.runtime.thresholds import CalibrationScores, ConformalThreshold
from tests.bundles import press_line_rows
from tests.filling import filling_bundle

FloatArray = npt.NDArray[np.float64]

POOL = 60_000
SETS, ROWS_OF_SET = 400, 4 * MOST_WINDOWS
HIGHEST = POOL // 5
"""So many of the scores are looked at: no rate here is near a fifth."""


@dataclass(frozen=True)
class Scores:
    """Of the same exchangeable rows: whole, and as they are scored before the translation with a
    sensor missing."""

    whole_N: FloatArray
    missing_N: FloatArray


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return filling_bundle(tmp_path_factory.mktemp("filling")).detector


@pytest.fixture(scope="module", params=[0, 1, 2])
def pool(detector: Detector, request: pytest.FixtureRequest) -> Scores:
    """Rows that calibration sets are drawn from; the others are new ones."""
    windows_BTF = press_line_rows(POOL, seed=11)[:, None]
    whole_N = detector.score(windows_BTF)
    windows_BTF[:, :, request.param] = np.nan
    return Scores(whole_N, detector.scorer.score(detector.rebuild(windows_BTF)))


def rate(pool: Scores, alpha: float, *, translated: bool = True) -> float:
    """Of false alarms among new rows with the sensor missing, the mean over calibration sets."""
    rng = np.random.default_rng(13)
    highest_N = np.argsort(pool.missing_N)[-HIGHEST:]
    rates = []
    for _ in range(SETS):
        set_N = rng.choice(POOL, ROWS_OF_SET, replace=False)
        threshold = ConformalThreshold(alpha).fit(CalibrationScores(pool.whole_N[set_N]))
        kept_K = set_N[evenly(ROWS_OF_SET, MOST_WINDOWS)]
        translate = RankMap(np.sort(pool.missing_N[kept_K]), np.sort(pool.whole_N[kept_K]))
        new_N = np.setdiff1d(highest_N, set_N, assume_unique=True)
        score_N = translate(pool.missing_N[new_N]) if translated else pool.missing_N[new_N]
        rates.append(np.count_nonzero(score_N > threshold.value) / (POOL - ROWS_OF_SET))
    return float(np.mean(rates))


def test_one_percent_is_kept_with_a_sensor_missing(pool: Scores) -> None:
    assert 0.95 < rate(pool, 0.01) / 0.01 < 1.1


def test_at_a_thousandth_there_are_up_to_a_quarter_more_false_alarms(pool: Scores) -> None:
    """Two of 2,000 kept windows are beyond such a threshold: between them nothing is known."""
    assert 1.05 < rate(pool, 0.001) / 0.001 < 1.25


def test_without_the_translation_neither_would_be_kept(pool: Scores) -> None:
    for alpha in (0.01, 0.001):
        assert not 0.8 < rate(pool, alpha, translated=False) / alpha < 1.6
