"""What one method gives on one case with one seed: this project's detector, or a peer.

What each method gets. Scores that are *ranked* (AUROC, AUPRC) come from a detector that may use
every training row: a peer is fitted on all of them, while this project's detector keeps those of
its calibration out of training, because the detector that is measured is the one that would serve.
That favours the peers. A *threshold* needs rows that the scores were not fitted on, so a peer is
fitted a second time without the calibration rows and calibrated on them by the same rule; what that
second fit ranks is recorded as well, as the comparison on exactly the same rows.
"""

import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig, OmegaConf
from threadpoolctl import threadpool_limits

from bench.cases import Case
from bench.peers import PEERS, Peer
from kizashi.errors import DataError
from kizashi.runtime.bundle import FILES, MANIFEST, Bundle
from kizashi.runtime.thresholds import Threshold
from kizashi.runtime.windows import sliding_windows
from kizashi.training.fit import NormalRows, fit_bundle
from pipelines.command import build, setting
from pipelines.recipe import recipe

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Score = Callable[[FloatArray], object]

BATCH = 1_000
SINGLE = 50
SECONDS = 0.5  # the longest that either timing goes on after its first call


@dataclass(frozen=True)
class Outcome:
    """Results on the test rows, and what they cost.

    `fit_seconds` are those of the processor, on one thread: other work on the machine adds none.
    `calibrated_score_B` are the scores that the thresholds belong to; `anomaly_B` are the verdicts
    of each threshold.
    """

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


@dataclass(frozen=True)
class Method:
    """A detector to be made from a composed configuration; `peer` None is this project's own."""

    name: str
    config: DictConfig
    alphas: Sequence[float]
    peer: str | None = None

    @property
    def window_length(self) -> int:
        return int(setting(self.config, "window.length", int))

    def identity(self) -> dict[str, Any]:
        """The settings that decide the result, without the seed and the false alarm rates."""
        groups = ["window", "split", "threshold"]
        if self.peer is None:
            groups += ["scaler", "model", "scorer", "trainer"]
        values = {
            f"{group}.{name}": value
            for group in groups
            for name, value in _plain(self.config[group]).items()
        }
        for name in ("split.seed", "threshold.alpha", "trainer.progress"):
            values.pop(name, None)
        return {"peer": self.peer, **values}

    def check(self) -> None:
        """Raise ConfigurationError for a value that cannot be used, before any data is read."""
        recipe(self._seeded(0))
        build(self.config.split)
        self.thresholds()

    def thresholds(self) -> list[Threshold]:
        """One for each false alarm rate; a rule without a rate gives one alone."""
        config = deepcopy(self.config)
        if "alpha" not in config.threshold:
            return [build(config.threshold)]
        thresholds = []
        for alpha in self.alphas:
            config.threshold.alpha = alpha
            thresholds.append(build(config.threshold))
        return thresholds

    def run(self, case: Case, seed: int) -> Outcome:
        """Fit on the case's training rows and judge its test rows."""
        config = self._seeded(seed)
        normal = case.normal_rows(build(config.split), self.window_length)
        with threadpool_limits(1):
            if self.peer is None:
                return self._own(config, case, normal)
            with warnings.catch_warnings():
                # What a library says of few or constant values is seen in its results.
                warnings.simplefilter("ignore")
                return self._peer(PEERS[self.peer], case, normal, seed)

    def _seeded(self, seed: int) -> DictConfig:
        config = deepcopy(self.config)
        config.seed = seed
        if "seed" in config.split:
            config.split.seed = seed
        return config

    def _own(self, config: DictConfig, case: Case, normal: NormalRows) -> Outcome:
        thresholds = self.thresholds()
        parts = replace(recipe(config), threshold=thresholds[0])
        contract = replace(case.contract, window_length=self.window_length)
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            bundle = fit_bundle(parts, contract, normal, Path(folder))
            seconds = time.process_time() - start
            size = _size(bundle)
        # The detector holds the scores that another rate's threshold is made from.
        calibration = bundle.detector.calibration.scores
        others = [threshold.fit(calibration) for threshold in thresholds[1:]]
        detectors = [bundle.detector, *(replace(bundle.detector, threshold=one) for one in others)]
        windows_BTF = case.test_windows(self.window_length)
        score_B = bundle.detector.score(windows_BTF)

        def verdict(some_BTF: FloatArray) -> object:
            return bundle.detector.decide(some_BTF, bundle.detector.score(some_BTF))

        return Outcome(
            score_B,
            score_B,
            [detector.threshold for detector in detectors],
            [detector.decide(windows_BTF, score_B) for detector in detectors],
            seconds,
            *microseconds(verdict, windows_BTF),
            size,
        )

    def _peer(
        self, make: Callable[[int], Peer], case: Case, normal: NormalRows, seed: int
    ) -> Outcome:
        def values(*parts_NF: FloatArray) -> FloatArray:
            windows = [sliding_windows(part, self.window_length) for part in parts_NF]
            return np.concatenate([part.reshape(len(part), -1) for part in windows])

        peer, calibrated = make(seed), make(seed)
        start = time.process_time()
        peer.fit(values(case.train_NF))
        seconds = time.process_time() - start
        calibrated.fit(values(normal.train, normal.validation))
        held_out = calibrated.score(values(normal.calibration))
        if not np.isfinite(held_out).all():
            raise DataError("some calibration scores are not finite")
        thresholds = [threshold.fit(held_out) for threshold in self.thresholds()]
        windows_BTF = case.test_windows(self.window_length)
        test_BV = windows_BTF.reshape(len(windows_BTF), -1)
        calibrated_score_B = calibrated.score(test_BV)
        return Outcome(
            peer.score(test_BV),
            calibrated_score_B,
            thresholds,
            [calibrated_score_B > threshold.value for threshold in thresholds],
            seconds,
            *microseconds(peer.score, test_BV),
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


def _size(bundle: Bundle) -> int:
    return sum((bundle.folder / name).stat().st_size for name in (*FILES, MANIFEST))


def rate_text(threshold: Threshold) -> str:
    """The false alarm rate asked for, empty where the rule has none."""
    rate = threshold.false_alarm_rate
    return "" if rate is None or math.isnan(rate) else f"{rate:g}"


def _plain(node: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}
