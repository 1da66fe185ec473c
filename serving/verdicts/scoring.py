"""The one scoring core: every protocol asks it, and every verdict passes through it.

An adapter turns what its clients send into windows or rows, asks here, and writes the answer in
its protocol's words. What has to know of verdicts (metrics) is an observer here, and so sees all of
them alike.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kizashi.runtime.detector import Verdicts, pieces
from serving.errors import NoModel
from serving.following.detectors import Detectors, Served
from serving.verdicts.together import judge

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Origin(NamedTuple):
    """Where values come from: the protocol that brought them, in which request, from which source
    and when, as far as the client says so."""

    protocol: str
    request_id: str
    source: str | None = None
    timestamp: str | None = None


class Judged(NamedTuple):
    """Scores and verdicts of N consecutive rows; NaN and False before the first whole window."""

    score_N: FloatArray
    anomaly_N: BoolArray


class Observer(Protocol):
    """Hears of every verdict, on the thread that made it; it must be quick and must not raise."""

    def one(self, served: Served, origin: Origin, score: float, anomaly: bool) -> None:
        """A single window was judged."""

    def many(self, served: Served, origin: Origin, judged: Judged) -> None:
        """Rows were judged, or several windows, without those that have no verdict."""


class Keeper(Protocol):
    """Keeps verdicts with the values that they are about; quick, and without raising, as well."""

    def one(
        self,
        served: Served,
        origin: Origin,
        window_TF: FloatArray,
        score: float,
        anomaly: bool,
        verdicts: Verdicts | None = None,
    ) -> None:
        """A single window was judged; `verdicts`, where all there is to say has been found."""

    def many(
        self,
        served: Served,
        origin: Origin,
        windows_BTF: FloatArray,
        judged: Judged,
        verdicts: Verdicts | None = None,
    ) -> None:
        """Windows were judged, each a verdict on its last row."""


class Scoring:
    """Judges with the detector that this worker holds, and tells the observers and the keeper."""

    def __init__(
        self, detectors: Detectors, observers: Sequence[Observer] = (), keeper: Keeper | None = None
    ) -> None:
        self.detectors = detectors
        self.observers = tuple(observers)
        self.keeper = keeper

    def held(self) -> Served:
        """What this worker serves; raises NoModel, saying why there is nothing.

        A request holds on to it, so that its answer comes from exactly one version.
        """
        served = self.detectors.held()
        if served is None:
            raise NoModel(f"no model is ready: {self.detectors.why_none()}")
        return served

    def one(self, served: Served, window_TF: FloatArray, origin: Origin) -> tuple[float, bool]:
        """Score and verdict of one window in original units, shape (T, F)."""
        score, anomaly = served.detector.verdict(window_TF)
        self._tell_one(served, origin, window_TF, score, anomaly)
        return score, anomaly

    def of_normal(self, asked: Sequence[tuple[Served, FloatArray, Origin]]) -> list[float | None]:
        """The scores of normal windows that came at the same time; None of one that is not normal
        or cannot be judged, of which nobody is told."""
        judged = judge([(served.detector, window_TF) for served, window_TF, _ in asked])
        scores: list[float | None] = []
        for (served, window_TF, origin), found in zip(asked, judged, strict=True):
            if isinstance(found, Exception) or found[1]:
                scores.append(None)
            else:
                self._tell_one(served, origin, window_TF, found[0], False)
                scores.append(found[0])
        return scores

    def full(self, served: Served, windows_BTF: FloatArray, origin: Origin) -> Verdicts:
        """Everything there is to say of windows in original units, shape (B, T, F)."""
        verdicts = served.detector.judge(windows_BTF)
        judged = Judged(verdicts.score_B, verdicts.anomaly_B)
        self._tell(served, origin, windows_BTF, judged, verdicts)
        return verdicts

    def windows(self, served: Served, windows_BTF: FloatArray, origin: Origin) -> Judged:
        """Score and verdict of each of B windows, shape (B, T, F), that need not be consecutive."""
        score_B = served.detector.score(windows_BTF)
        judged = Judged(score_B, served.detector.decide(windows_BTF, score_B))
        self._tell(served, origin, windows_BTF, judged)
        return judged

    def many(self, served: Served, rows_NF: FloatArray, origin: Origin) -> Judged:
        """Score and verdict of each of N consecutive rows, shape (N, F), judged with the rows
        before it."""
        detector = served.detector
        length = detector.contract.window_length
        first = min(length - 1, len(rows_NF))
        score_N, anomaly_N = np.full(len(rows_NF), np.nan), np.zeros(len(rows_NF), dtype=np.bool_)
        windows_BTF = np.empty((0, length, rows_NF.shape[1]))
        if len(rows_NF) >= length:
            windows_BTF = detector.windows(rows_NF)
            for piece in pieces(len(windows_BTF), windows_BTF[0].size):
                score_B = detector.score(windows_BTF[piece])
                rows = slice(first + piece.start, first + piece.start + len(score_B))
                score_N[rows] = score_B
                anomaly_N[rows] = detector.decide(windows_BTF[piece], score_B)
        self._tell(served, origin, windows_BTF, Judged(score_N[first:], anomaly_N[first:]))
        return Judged(score_N, anomaly_N)

    def _tell_one(
        self,
        served: Served,
        origin: Origin,
        window_TF: FloatArray,
        score: float,
        anomaly: bool,
        verdicts: Verdicts | None = None,
    ) -> None:
        for observer in self.observers:
            observer.one(served, origin, score, anomaly)
        if self.keeper is not None:
            self.keeper.one(served, origin, window_TF, score, anomaly, verdicts)

    def _tell(
        self,
        served: Served,
        origin: Origin,
        windows_BTF: FloatArray,
        judged: Judged,
        verdicts: Verdicts | None = None,
    ) -> None:
        if len(judged.score_N) == 1:
            score, anomaly = float(judged.score_N[0]), bool(judged.anomaly_N[0])
            self._tell_one(served, origin, windows_BTF[0], score, anomaly, verdicts)
        elif len(judged.score_N):
            for observer in self.observers:
                observer.many(served, origin, judged)
            if self.keeper is not None:
                self.keeper.many(served, origin, windows_BTF, judged, verdicts)
