"""What a fitted method gives on the test rows of its case, and what that costs."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from bench.fitted import Fitted
from kizashi.errors import DataError
from kizashi.runtime.thresholds import Threshold

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Score = Callable[[FloatArray], object]

BATCH = 1_000
SINGLE = 50
SECONDS = 0.5  # the longest that either timing goes on after its first call


@dataclass(frozen=True)
class Outcome:
    """Results on the test rows; `score_B` are ranked, the thresholds belong to
    `calibrated_score_B`, and `anomaly_B` are the verdicts of each threshold."""

    score_B: FloatArray
    calibrated_score_B: FloatArray
    thresholds: Sequence[Threshold]
    anomaly_B: Sequence[BoolArray]
    fit_seconds: float
    batch_us: float
    single_us: float
    bundle_bytes: int | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.score_B).all() and np.isfinite(self.calibrated_score_B).all()):
            raise DataError("some scores are not finite")


def outcome(fitted: Fitted, windows_BTF: FloatArray, rules: Sequence[Threshold]) -> Outcome:
    """Judge `windows_BTF` by each of `rules`, on one thread."""
    with threadpool_limits(1):
        calibrated_score_B = fitted.calibrated_score(windows_BTF)
        thresholds = [fitted.calibrate(rule) for rule in rules]
        return Outcome(
            fitted.score(windows_BTF),
            calibrated_score_B,
            thresholds,
            [fitted.decide(windows_BTF, calibrated_score_B, one) for one in thresholds],
            fitted.fit_seconds,
            *microseconds(fitted.serve, windows_BTF),
            fitted.bundle_bytes,
        )


def microseconds(score: Score, windows: FloatArray) -> tuple[float, float]:
    """µs a window: in a batch of up to BATCH (best of several), and one at a time (median)."""
    batch, single = windows[:BATCH], [windows[i : i + 1] for i in range(min(SINGLE, len(windows)))]
    in_batch = min(_seconds(score, [batch] * 6)) / len(batch)
    return in_batch * 1e6, statistics.median(_seconds(score, single * 4)) * 1e6


def _seconds(score: Score, calls: Sequence[FloatArray]) -> list[float]:
    """Of each call but the first, which warms up, until the time is over."""
    taken: list[float] = []
    for call in calls:
        if sum(taken[1:]) > SECONDS:
            break
        start = time.perf_counter()
        score(call)
        taken.append(time.perf_counter() - start)
    return taken[1:] or taken
