"""Missing values: NaN inside a window, filled in from the values that are there, and scores that
mean the same whatever is missing.

A value that was filled in is less of a surprise than a measured one or, where it cannot be known,
more of one: windows with the same values missing have scores with a law of their own. Each
*pattern*, the places in a window where values are missing, therefore has its own calibration:
normal windows that were kept are scored whole and with the pattern's values taken out, and a score
with that pattern counts as the score of a whole window with the same rank. Thresholds, p-values and
severities then hold for it as for any other, and a conformal rule keeps its promise pattern by
pattern (Mondrian conformal prediction: Vovk, Gammerman and Shafer, "Algorithmic Learning in a
Random World", 2005, section 4.5).
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Self

import numpy as np
import numpy.typing as npt

from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scoring.scorer import evenly

FloatArray = npt.NDArray[np.float64]
Pattern = npt.NDArray[np.bool_]

MOST_WINDOWS, FEWEST_WINDOWS = 2000, 200
"""Calibration windows that are kept."""
MOST_VALUES = 2**17
"""Of them, while there are more than FEWEST_WINDOWS: a new pattern takes milliseconds."""
SEVERAL_SENSORS = 4
"""Patterns in which several sensors have missing values are as many as there are subsets: each is
calibrated on one kept window in so many, and on no fewer than FEWEST_WINDOWS."""
PATTERNS_KEPT = 256

Fill = Callable[[FloatArray], FloatArray]
"""Scaled windows with a value wherever NaN was."""
Score = Callable[[FloatArray, FloatArray | None], FloatArray]
"""Scores of scaled windows (K, T, F) without missing values, as they come from the scorer; where
others are given too, as if the scorer had kept none of these."""


def missing_values(windows_BTF: FloatArray) -> Pattern | None:
    """Where values are missing, None where none is: that answer takes under 1 µs for a row."""
    if not math.isnan(np.vdot(windows_BTF, windows_BTF)):
        return None
    return np.isnan(windows_BTF)


@dataclass(frozen=True, slots=True)
class RankMap:
    """Scores of one pattern beside scores of the same windows when whole, both ascending."""

    pattern_K: FloatArray
    whole_K: FloatArray

    def __call__(self, score_B: FloatArray) -> FloatArray:
        """The whole windows' scores of the same rank: linear between two, by ratio beyond all.

        Of equal scores of the pattern the lowest rank counts, so that as many calibration scores
        are at least as large as before.
        """
        pattern_K, whole_K = self.pattern_K, self.whole_K
        after_B = np.searchsorted(pattern_K, score_B, side="left")
        right_B = np.clip(after_B, 1, max(len(pattern_K) - 1, 1)) % len(pattern_K)
        left_B = np.maximum(right_B - 1, 0)
        width_B = pattern_K[right_B] - pattern_K[left_B]
        share_B = np.divide(
            score_B - pattern_K[left_B], width_B, out=np.ones_like(score_B), where=width_B > 0
        )
        within_B = whole_K[left_B] + share_B * (whole_K[right_B] - whole_K[left_B])
        below_B = whole_K[0] * _ratio(score_B, pattern_K[0])
        above_B = whole_K[-1] * _ratio(score_B, pattern_K[-1])
        inside_B = np.where(score_B <= pattern_K[0], below_B, within_B)
        mapped_B: FloatArray = np.where(score_B > pattern_K[-1], above_B, inside_B)
        return mapped_B


def _ratio(score_B: FloatArray, known: float) -> FloatArray:
    """Scores over a known one; over 0, which any score above it exceeds, nothing is known but that
    they are larger."""
    return score_B / known if known > 0 else 1 + score_B


class MissingValues:
    """Fills in what is missing, and translates the scores of windows in which something was.

    `imputer` rebuilds scaled windows whose missing values are NaN. `scaled_KTF` are normal windows,
    scaled: in original units single precision would not do for a sensor that varies little beside
    its level. `seen` where the detector has learned from them (cross-fitting), so that each is
    scored as if the scorer had not kept it. An object belongs to one scaler, network and scorer:
    what it has worked out for a pattern it remembers.
    """

    def __init__(
        self,
        imputer: OnnxNetwork,
        scaled_KTF: FloatArray | npt.NDArray[np.float32],
        seen: bool = False,
    ) -> None:
        self.imputer = imputer
        values = scaled_KTF.shape[1] * scaled_KTF.shape[2]
        most = min(MOST_WINDOWS, max(MOST_VALUES // values, FEWEST_WINDOWS))
        chosen = evenly(len(scaled_KTF), most)
        self.scaled: npt.NDArray[np.float32] = scaled_KTF[chosen].astype(np.float32)
        self.seen = seen
        self._maps: OrderedDict[bytes, RankMap] = OrderedDict()
        self._lock = Lock()

    def recalibrated(self, scaled_KTF: FloatArray, keep: bool) -> Self:
        """The same with other windows; `keep` adds them to those that are there, unless the
        detector has learned from these."""
        if keep and not self.seen:
            scaled_KTF = np.concatenate([self.scaled.astype(np.float64), scaled_KTF])
        return type(self)(self.imputer, scaled_KTF)

    def fill(self, scaled_BTF: FloatArray) -> FloatArray:
        """Scaled windows with a value wherever NaN was."""
        missing_BTF = np.isnan(scaled_BTF)
        some_B = missing_BTF.any(axis=(1, 2))
        filled_BTF = scaled_BTF.copy()
        guessed_BTF = self.imputer.reconstruct(scaled_BTF[some_B].astype(np.float32))[0]
        filled_BTF[some_B] = np.where(missing_BTF[some_B], guessed_BTF, scaled_BTF[some_B])
        return filled_BTF

    def translate(
        self, score_B: FloatArray, missing_BTF: Pattern, fill: Fill, score: Score
    ) -> FloatArray:
        """Scores of windows with `missing_BTF`, which `fill` filled in, as scores of whole ones."""
        if len(missing_BTF) == 1:
            return self._map(missing_BTF[0], fill, score)(score_B)
        packed_BP = np.packbits(missing_BTF.reshape(len(missing_BTF), -1), axis=1)
        _, first_P, which_B = np.unique(packed_BP, axis=0, return_index=True, return_inverse=True)
        which_B = which_B.reshape(-1)  # NumPy 2.0 shaped it otherwise
        translated_B = score_B.copy()
        for number, first in enumerate(first_P.tolist()):
            pattern_TF = missing_BTF[first]
            if pattern_TF.any():
                same_B = which_B == number
                translated_B[same_B] = self._map(pattern_TF, fill, score)(score_B[same_B])
        return translated_B

    def _map(self, pattern_TF: Pattern, fill: Fill, score: Score) -> RankMap:
        name = pattern_TF.tobytes()
        with self._lock:
            if name in self._maps:
                self._maps.move_to_end(name)
                return self._maps[name]
        made = self._made(pattern_TF, fill, score)  # twice, at worst, where two threads want it
        with self._lock:
            self._maps[name] = made
            if len(self._maps) > PATTERNS_KEPT:
                self._maps.popitem(last=False)
        return made

    def _made(self, pattern_TF: Pattern, fill: Fill, score: Score) -> RankMap:
        whole_KTF = self.scaled.astype(np.float64)
        if np.count_nonzero(pattern_TF.any(axis=0)) > 1:
            some = max(len(whole_KTF) // SEVERAL_SENSORS, FEWEST_WINDOWS)
            whole_KTF = whole_KTF[evenly(len(whole_KTF), some)]
        learned = whole_KTF if self.seen else None
        pattern_K = score(fill(np.where(pattern_TF, np.nan, whole_KTF)), learned)
        return RankMap(np.sort(pattern_K), np.sort(score(whole_KTF, learned)))
