"""The distance to the nearest normal windows: what was never seen is strange, however well the
network rebuilds it."""

import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scaling import compressed
from kizashi.runtime.scoring.scorer import (
    SEEN_SCORED,
    FloatArray,
    Rebuilt,
    Restore,
    Scorer,
    evenly,
    shares,
)
from kizashi.runtime.scoring.spacing import resolution, without_thinning

NEIGHBOURS = 3
"""Prototypes that tell the spacing at a place."""
SPACED = 5
"""Others that tell the spacing of a prototype, each counted once however often it repeats."""
DENSEST = 0.1
"""Of the typical spacing: where windows hardly differ, the spacing is taken as this."""
POWER = 0.85
"""Of the spacing by which distances are divided: short of 1, because a sparse region is itself a
little strange. From 0.75 to 1 the choice makes little difference."""
FORMER_POWER = 0.5
"""That of bundles which do not say theirs."""
LEAST = 1e-3
"""Of the spacing: smaller distances count as this, so that a repeated window has a logarithm."""
KNEE = 3.0
"""Scaled values beyond it are compressed once more: one wild value must not rule a distance."""
VALUES_AT_ONCE = 2**18
"""Windows times prototypes in one piece: as many as stay in a processor's cache."""
SMALL_PRODUCT, FEWEST_AT_ONCE = 1_000_000, 8
"""Up to so many multiplications OpenBLAS takes its operands as they lie in memory, in under half
of the time: of windows of few values, no more are in a piece, unless it were of fewer windows."""
TIED = 4 * 2.0**-24
"""Times the root of the values in a window, of the product and the half square whose difference is
compared: what is nearer by no more may be so by rounding alone, which differs between processors,
and between one window and many."""
PER_VALUE, FEWEST, MOST = 256, 2_000, 5_000
SAME = 1e-10
"""A window and a prototype whose squared distance is no larger are the same but for rounding."""
MOST_VALUES = 2**21
"""Sensor values in all prototypes together: wide windows keep fewer, or a bundle would be huge."""


class NearestNormal(Scorer):
    """Distance to the nearest *prototype*, a normal window kept as it was, over a power of the
    spacing between prototypes there.

    Dividing by the spacing makes a step away from densely packed windows count more than one among
    windows that lie far apart (the idea of Breunig et al., "LOF: identifying density-based local
    outliers", SIGMOD 2000). What is spaced widely for lying far out is strange all the same, so
    that part of the spacing is left out; windows that repeat one another count once in it; and
    where sensors read in steps, distances are uncertain by their resolution, which is added in
    squares (`spacing.py` has both). Distances are root mean squares over the window's values, in
    scaled units that grow like a logarithm beyond KNEE.

    `prototypes` is the largest number kept: of more windows, that many are drawn evenly. None keeps
    PER_VALUE for each value of a window within FEWEST and MOST, because a space of few dimensions
    is covered by fewer; wide windows keep no more than MOST_VALUES in all.

    Raises ConfigurationError for fewer than 1.
    """

    kind = "nearest_normal"
    needs_network = False

    def __init__(self, prototypes: int | None = None) -> None:
        if prototypes is not None and prototypes < 1:
            raise ConfigurationError(f"prototypes is {prototypes}; a whole number from 1 is needed")
        self.prototypes = prototypes
        self._prototype_PV: npt.NDArray[np.float32] | None = None
        self._know_spacing(np.ones(1), 0.0, POWER)

    def fit(self, seen: Rebuilt) -> Self:
        windows_BV = _flat(seen)
        kept_PV = windows_BV[self._drawn(windows_BV)].astype(np.float32)
        self._keep(kept_PV)
        coarse = resolution(kept_PV)
        spacing_P = np.hypot(_spacing(kept_PV), coarse)
        self._know_spacing(without_thinning(spacing_P, kept_PV), coarse, POWER)
        return self

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        return self._scores(*self._nearest(_flat(rebuilt)))

    def score_one(self, rebuilt: Rebuilt) -> float:
        kept_PV = self._kept
        window_V = compressed(rebuilt.scaled_BTF.reshape(-1), KNEE).astype(np.float32)
        closeness_P = window_V.dot(self._turned_VP)  # in two thirds of the time of `@`
        closeness_P -= self._half_square_P
        values, count = window_V.tolist(), min(NEIGHBOURS, len(kept_PV))
        closest, furthest, spacing, last = math.inf, 0.0, 0.0, 0.0
        for _ in range(count):
            place = int(closeness_P.argmax())
            last = closeness_P.item(place)
            closeness_P[place] = -math.inf
            furthest = math.dist(values, kept_PV[place].tolist())
            if furthest < closest:
                closest = furthest
            spacing += self._spacing_of[place]
        least = last - self._tied * (abs(last) + 2 * self._half_square_P.item(place))
        if closeness_P.item(closeness_P.argmax()) >= least and furthest > 0:
            (among_C,) = np.nonzero((closeness_P >= least) | (closeness_P == -math.inf))
            places = self._told_apart_among(window_V, among_C, count)
            closest = min(math.dist(values, kept_PV[place].tolist()) for place in places)
            spacing = sum(self._spacing_of[place] for place in places)
        spacing /= count
        square = closest**2 / len(values) + self._coarse_square + (LEAST * spacing) ** 2
        return math.sqrt(square) / math.pow(spacing, self._power)

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        windows_BV = _flat(rebuilt)
        square_BK, nearest_BK = self._nearest(windows_BV)
        first_B1 = square_BK.argmin(axis=1)[:, None]
        closest_B = np.take_along_axis(nearest_BK, first_B1, axis=1)[:, 0]
        step_BV = windows_BV.astype(np.float64) - self._kept[closest_B]
        square_BF = (step_BV.reshape(rebuilt.scaled_BTF.shape) ** 2).sum(axis=1)
        return self._scores(square_BK, nearest_BK), shares(square_BF)

    def seen_scores(self, seen: Rebuilt) -> FloatArray:
        """Scores of the windows that are no prototypes, or of the prototypes by their others."""
        windows_BV = _flat(seen)
        drawn = self._drawn(windows_BV)
        if len(drawn) == len(windows_BV) > 1:
            return self._scores(*self._nearest(windows_BV, leave_out=drawn))
        rest_BV = np.delete(windows_BV, drawn, axis=0)
        rest_BV = rest_BV[evenly(len(rest_BV), SEEN_SCORED)] if len(rest_BV) else windows_BV
        return self._scores(*self._nearest(rest_BV))

    def score_without(self, rebuilt: Rebuilt, learned_BTF: FloatArray) -> FloatArray:
        windows_BV, learned_BV = _flat(rebuilt), _flat_windows(learned_BTF)
        square_BK, nearest_BK = self._nearest(learned_BV)
        own_B = np.take_along_axis(nearest_BK, square_BK.argmin(axis=1)[:, None], axis=1)[:, 0]
        kept_B = (square_BK.min(axis=1) <= SAME) & (len(self._kept) > 1)
        score_B = np.empty(len(windows_BV))
        score_B[~kept_B] = self._scores(*self._nearest(windows_BV[~kept_B]))
        score_B[kept_B] = self._scores(*self._nearest(windows_BV[kept_B], leave_out=own_B[kept_B]))
        return score_B

    def nearest(self, rebuilt: Rebuilt) -> FloatArray:
        """The prototypes next to each window, nearest first, scaled, shape (B, K, T, F)."""
        square_BK, nearest_BK = self._nearest(_flat(rebuilt))
        nearest_BK = np.take_along_axis(nearest_BK, np.argsort(square_BK, axis=1), axis=1)
        scaled_BKV = KNEE * np.sinh(self._kept[nearest_BK].astype(np.float64) / KNEE)
        return scaled_BKV.reshape(*nearest_BK.shape, *rebuilt.scaled_BTF.shape[1:])

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "prototypes": self.prototypes,
            "kept": self._kept,
            "spacing": self._spacing_P,
            "resolution": self._resolution,
            "power": self._power,
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], any_scorer: Restore) -> Self:
        scorer = cls(stored["prototypes"])
        scorer._keep(stored["kept"])
        scorer._know_spacing(
            stored["spacing"],
            float(stored.get("resolution", 0.0)),
            float(stored.get("power", FORMER_POWER)),
        )
        return scorer

    def _drawn(self, windows_BV: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        values = windows_BV.shape[1]
        wanted = self.prototypes or min(max(PER_VALUE * values, FEWEST), MOST)
        return evenly(len(windows_BV), min(wanted, max(1, MOST_VALUES // values)))

    @property
    def _kept(self) -> npt.NDArray[np.float32]:
        if self._prototype_PV is None:
            raise NotCalibrated(f"the {self.kind} scorer has not been fitted")
        return self._prototype_PV

    def _keep(self, prototype_PV: npt.NDArray[np.float32]) -> None:
        self._prototype_PV = prototype_PV
        self._scratch = _Scratch()
        # ‖x - p‖² = ‖x‖² - 2 (x·p - ‖p‖² / 2): the nearest have the largest bracket.
        self._turned_VP = np.ascontiguousarray(prototype_PV.T)
        self._half_square_P = 0.5 * np.einsum("pv,pv->p", prototype_PV, prototype_PV)
        self._tied = TIED * math.sqrt(prototype_PV.shape[1])

    def _know_spacing(self, spacing_P: FloatArray, resolution: float, power: float) -> None:
        self._spacing_P, self._spacing_of = spacing_P, spacing_P.tolist()
        self._resolution, self._coarse_square, self._power = resolution, resolution**2, power

    def _nearest(
        self,
        windows_BV: npt.NDArray[np.float32],
        leave_out: npt.NDArray[np.intp] | None = None,
        count: int = NEIGHBOURS,
    ) -> tuple[FloatArray, npt.NDArray[np.intp]]:
        """Squared distances to the `count` nearest prototypes, or all, per value, and which they
        are, both (B, K).

        Window b is not compared with prototype `leave_out[b]`.
        """
        kept_PV = self._kept
        count = min(count, len(kept_PV) - (leave_out is not None))
        nearest_BK = np.empty((len(windows_BV), count), dtype=np.intp)
        for piece in _pieces(len(windows_BV), *kept_PV.shape):
            others = None if leave_out is None else leave_out[piece]
            nearest_BK[piece] = self._found(windows_BV[piece], count, others)
        # Single precision finds them; how far they are is worked out without cancellation.
        step_BKV = windows_BV[:, None].astype(np.float64) - kept_PV[nearest_BK]
        square_BK: FloatArray = np.einsum("bkv,bkv->bk", step_BKV, step_BKV)
        square_BK /= windows_BV.shape[1]
        return square_BK, nearest_BK

    def _found(
        self,
        windows_BV: npt.NDArray[np.float32],
        count: int,
        leave_out: npt.NDArray[np.intp] | None,
    ) -> npt.NDArray[np.intp]:
        """The `count` nearest prototypes of these few windows, shape (B, K)."""
        closeness_BP = self._scratch.of(windows_BV, self._kept)
        np.matmul(windows_BV, self._turned_VP, out=closeness_BP)
        closeness_BP -= self._half_square_P
        _take_out(closeness_BP, leave_out)
        found_BK, last_B = _largest(closeness_BP, count)
        size_B = np.abs(last_B) + 2 * self._half_square_P[found_BK[:, -1]]
        (tied,) = np.nonzero(last_B - closeness_BP.max(axis=1) <= self._tied * size_B)
        # Windows that repeat a prototype are as near to others that do, whose spacing is the same.
        far_B = (windows_BV[tied] != self._kept[found_BK[tied, -1]]).any(axis=1)
        if len(tied := tied[far_B]):
            others = None if leave_out is None else leave_out[tied]
            found_BK[tied] = self._told_apart(windows_BV[tied], count, others)
        return found_BK

    def _told_apart(
        self,
        windows_BV: npt.NDArray[np.float32],
        count: int,
        leave_out: npt.NDArray[np.intp] | None = None,
    ) -> npt.NDArray[np.intp]:
        """As `_found`, in double precision; of what is equally near in single precision, the first.

        Sensors that read in steps are often as far from many prototypes, whose spacing differs.
        """
        turned_VP = self._turned_VP.astype(np.float64)
        closeness_BP = windows_BV.astype(np.float64) @ turned_VP
        closeness_BP -= 0.5 * np.einsum("vp,vp->p", turned_VP, turned_VP)
        rounded_BP = closeness_BP.astype(np.float32)
        _take_out(rounded_BP, leave_out)
        return _largest(rounded_BP, count)[0]

    def _told_apart_among(
        self, window_V: npt.NDArray[np.float32], among_C: npt.NDArray[np.intp], count: int
    ) -> list[int]:
        """As `_told_apart`, of one window and of those prototypes alone that may be the nearest."""
        kept_CV = self._kept[among_C].astype(np.float64)
        closeness_C = (kept_CV * (window_V - 0.5 * kept_CV)).sum(axis=1).astype(np.float32)
        places: list[int] = among_C[np.argsort(-closeness_C, kind="stable")[:count]].tolist()
        return places

    def _scores(self, square_BK: FloatArray, nearest_BK: npt.NDArray[np.intp]) -> FloatArray:
        count = nearest_BK.shape[1]
        spacing_B = self._spacing_P[nearest_BK].sum(axis=1) / count
        square_B = square_BK.min(axis=1) + self._coarse_square + (LEAST * spacing_B) ** 2
        score_B: FloatArray = np.sqrt(square_B) / spacing_B**self._power
        return score_B


def _spacing(kept_PV: npt.NDArray[np.float32]) -> FloatArray:
    """Mean distance from each prototype to the SPACED nearest that differ from it, at least DENSEST
    of the typical one; 1 where all are the same."""
    distinct_DV, of_P = np.unique(kept_PV, axis=0, return_inverse=True)
    if len(distinct_DV) == 1:
        return np.ones(len(kept_PV))
    among = NearestNormal()
    among._keep(distinct_DV)
    square_DK, _ = among._nearest(distinct_DV, np.arange(len(distinct_DV)), SPACED)
    spacing_P: FloatArray = np.sqrt(square_DK).mean(axis=1)[of_P.reshape(-1)]
    typical = float(np.median(spacing_P)) or float(spacing_P.mean()) or 1.0
    return np.maximum(spacing_P, DENSEST * typical)


def _take_out(
    closeness_BP: npt.NDArray[np.float32], leave_out: npt.NDArray[np.intp] | None
) -> None:
    if leave_out is not None:
        closeness_BP[np.arange(len(closeness_BP)), leave_out] = -np.inf


def _largest(
    values_BP: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Where the `count` largest of each row are, largest first, and the last of them; overwrites
    them.

    A few passes for the largest take a fraction of the time of a partition.
    """
    rows_B = np.arange(len(values_BP))
    found_BK = np.empty((len(values_BP), count), dtype=np.intp)
    last_B = np.empty(len(values_BP), dtype=np.float32)
    for k in range(count):
        found_BK[:, k] = place_B = values_BP.argmax(axis=1)
        last_B = values_BP[rows_B, place_B]
        values_BP[rows_B, place_B] = -np.inf
    return found_BK, last_B


def _flat(rebuilt: Rebuilt) -> npt.NDArray[np.float32]:
    return _flat_windows(rebuilt.scaled_BTF)


def _flat_windows(windows_BTF: FloatArray) -> npt.NDArray[np.float32]:
    count, length, sensors = windows_BTF.shape
    return compressed(windows_BTF.reshape(count, length * sensors), KNEE).astype(np.float32)


class _Scratch(threading.local):
    """Where each thread compares windows with prototypes: memory that is asked for anew comes from
    the system in pages, which takes longer than what is done in it."""

    closeness_BP: npt.NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)

    def of(
        self, windows_BV: npt.NDArray[np.float32], prototype_PV: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """A place for each window and prototype, overwritten by the next that is asked for."""
        if len(windows_BV) > len(self.closeness_BP):
            shape = len(windows_BV), len(prototype_PV)
            self.closeness_BP = np.empty(shape, dtype=np.float32)
        return self.closeness_BP[: len(windows_BV)]


def _pieces(windows: int, prototypes: int, values: int) -> Iterator[slice]:
    at_once = max(1, VALUES_AT_ONCE // prototypes)
    small = SMALL_PRODUCT // (prototypes * values)
    if small >= FEWEST_AT_ONCE:
        at_once = min(at_once, small)
    for start in range(0, windows, at_once):
        yield slice(start, start + at_once)
