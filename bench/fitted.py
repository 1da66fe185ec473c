"""A method fitted on one case with one seed, ready to be measured: this project's detector, or a
peer.

What each method gets. Scores that are *ranked* (AUROC, AUPRC) come from a detector that may use
every training row: a peer is fitted on all of them, while this project's detector keeps those of
its calibration out of training, because the detector that is measured is the one that would serve.
That favours the peers. A *threshold* needs rows that the scores were not fitted on, so a peer is
fitted a second time without the calibration rows and calibrated on them by the same rule; what that
second fit ranks is recorded as well, as the comparison on exactly the same rows. Without
calibration rows (series) nobody keeps rows out: every threshold comes from cross-fitting in blocks.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from bench.peers import Attributing, Peer
from kizashi.errors import DataError
from kizashi.runtime.bundle import Bundle, bundle_files
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector
from kizashi.runtime.thresholds import CalibrationScores, Threshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows, Recipe, Score, cross_fit, fit_bundle

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Fitted(Protocol):
    """Everything is of windows in original units, shape (B, T, F)."""

    @property
    def fit_seconds(self) -> float:
        """Of the processor, on one thread: other work on the machine adds none."""

    @property
    def bundle_bytes(self) -> int | None:
        """None for a peer."""

    def score(self, windows_BTF: FloatArray) -> FloatArray:
        """The scores to rank by, shape (B,)."""

    def calibrated_score(self, windows_BTF: FloatArray) -> FloatArray:
        """The scores that thresholds belong to, shape (B,)."""

    def serve(self, windows_BTF: FloatArray) -> object:
        """What is done of a row in service, for its costs."""

    def calibrate(self, rule: Threshold) -> Threshold:
        """`rule`, fitted on scores of the calibration rows."""

    def decide(
        self, windows_BTF: FloatArray, score_B: FloatArray, threshold: Threshold
    ) -> BoolArray:
        """The verdicts on windows with their calibrated scores, shape (B,)."""

    def contributions(self, windows_BTF: FloatArray) -> FloatArray:
        """How much of each calibrated score is each sensor's, shape (B, F)."""


@dataclass(frozen=True)
class FittedOwn:
    """This project's detector, as loaded from its bundle."""

    detector: Detector
    in_time: bool
    fit_seconds: float
    bundle_bytes: int | None

    @classmethod
    def fit(cls, recipe: Recipe, contract: DataContract, normal: NormalRows) -> Self:
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            bundle = fit_bundle(recipe, contract, normal, Path(folder))
            seconds = time.process_time() - start
            return cls(bundle.detector, normal.in_time, seconds, _size(bundle))

    def score(self, windows_BTF: FloatArray) -> FloatArray:
        return self.detector.score(windows_BTF)

    calibrated_score = score

    def serve(self, windows_BTF: FloatArray) -> object:
        if len(windows_BTF) == 1:
            return self.detector.verdict(windows_BTF[0])
        return self.detector.decide(windows_BTF, self.detector.score(windows_BTF))

    def calibrate(self, rule: Threshold) -> Threshold:
        # The detector holds the scores that another threshold is made from.
        held_out = self.detector.calibration
        return rule.fit(CalibrationScores(held_out.scores, self.in_time, blocks=held_out.blocks))

    def decide(
        self, windows_BTF: FloatArray, score_B: FloatArray, threshold: Threshold
    ) -> BoolArray:
        return replace(self.detector, threshold=threshold).decide(windows_BTF, score_B)

    def contributions(self, windows_BTF: FloatArray) -> FloatArray:
        return self.detector.judge(windows_BTF).contribution_BF


@dataclass(frozen=True)
class FittedPeer:
    """A peer on flattened windows, fitted on all training rows (`peer`) and on those without
    calibration (`calibrated`; the same one where no rows are for calibration)."""

    peer: Peer
    calibrated: Peer
    held_out: CalibrationScores
    fit_seconds: float
    bundle_bytes: int | None = None

    @classmethod
    def fit(
        cls,
        make: Callable[[], Peer],
        train: Rows,
        normal: NormalRows,
        window_length: int,
    ) -> Self:
        """Raises DataError for calibration scores that are no numbers."""

        def values(*parts: Rows) -> FloatArray:
            return _flat(np.concatenate([part.windows(window_length) for part in parts]))

        def on(*parts: Rows) -> Peer:
            peer = make()
            peer.fit(values(*parts))
            return peer

        def fit_to_score(rows: Rows) -> Score:
            peer = on(rows)
            return lambda windows_BTF: peer.score(_flat(windows_BTF))

        start = time.process_time()
        peer = on(train)
        seconds = time.process_time() - start
        blocks: tuple[int, ...] = ()
        if len(normal.calibration):
            calibrated = on(normal.train, normal.validation)
            held_out = calibrated.score(values(normal.calibration))
        else:
            calibrated = peer
            _, held_out, blocks = cross_fit(fit_to_score, train, window_length)
        if not np.isfinite(held_out).all():
            raise DataError("some calibration scores are not finite")
        evidence = CalibrationScores(held_out, normal.in_time, blocks=blocks)
        return cls(peer, calibrated, evidence, seconds)

    def score(self, windows_BTF: FloatArray) -> FloatArray:
        return self.peer.score(_flat(windows_BTF))

    def calibrated_score(self, windows_BTF: FloatArray) -> FloatArray:
        return self.calibrated.score(_flat(windows_BTF))

    serve = score

    def calibrate(self, rule: Threshold) -> Threshold:
        return rule.fit(self.held_out)

    def decide(
        self, windows_BTF: FloatArray, score_B: FloatArray, threshold: Threshold
    ) -> BoolArray:
        return np.asarray(score_B > threshold.value)

    def contributions(self, windows_BTF: FloatArray) -> FloatArray:
        """Raises DataError for a peer that names no sensor."""
        if not isinstance(self.calibrated, Attributing):
            raise DataError("this peer names no sensor")
        part_BV = self.calibrated.parts(_flat(windows_BTF))
        return np.asarray(part_BV.reshape(windows_BTF.shape).sum(axis=1))


def _flat(windows_BTF: FloatArray) -> FloatArray:
    return windows_BTF.reshape(len(windows_BTF), -1)


def _size(bundle: Bundle) -> int:
    return sum((bundle.folder / name).stat().st_size for name in bundle_files(bundle.folder))
