"""The detector: window → scale → reconstruct → score → calibrate → decide → explain."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from kizashi.errors import InvalidRow, Problem, UnusableScore
from kizashi.runtime.attribution import counterfactual
from kizashi.runtime.calibration import ROUNDING, Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.missing import MissingValues, missing_values
from kizashi.runtime.network import Network, NoNetwork
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring import Rebuilt, Scorer
from kizashi.runtime.scoring.scorer import shares
from kizashi.runtime.thresholds import Threshold
from kizashi.runtime.windows import sliding_windows

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

WINDOWS_AT_ONCE = 16_384
"""Large inputs go through in pieces of this many windows: larger pieces are no faster."""
VALUES_AT_ONCE = 2**21
"""Sensor values in one piece, which bounds memory for long windows."""
_NO_NETWORK = NoNetwork()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a detector says of `B` windows; sensor values are of each window's last row."""

    score_B: FloatArray
    anomaly_B: npt.NDArray[np.bool_]
    p_value_B: FloatArray
    severity_B: FloatArray
    contribution_BF: FloatArray
    expected_BF: FloatArray
    """The rebuilt last row, in original units; where a value is missing, what is filled in."""
    out_of_range_BF: npt.NDArray[np.bool_]
    """Readings beyond their instrument's limits anywhere in the window."""
    missing_BF: npt.NDArray[np.intp]
    """How many of each sensor's values in the window are missing."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Everything that turns rows of sensor values into verdicts.

    NaN in a window is a missing value: `missing` fills it in and sees to it that scores mean the
    same. Without it such windows are refused with InvalidRow, and the contract says so.
    """

    contract: DataContract
    scaler: Scaler
    network: Network
    scorer: Scorer
    calibration: Calibration
    threshold: Threshold
    missing: MissingValues | None = None

    def __post_init__(self) -> None:
        if self.missing is None and self.contract.missing != "reject":
            object.__setattr__(self, "contract", replace(self.contract, missing="reject"))

    def score(self, windows_BTF: FloatArray) -> FloatArray:
        """One score a window, shape (B,), from values in original units, shape (B, T, F).

        Raises UnusableScore for a score that is not finite.
        """
        if len(windows_BTF) == 1:
            return np.array([self._score_one(windows_BTF)])
        score_B = np.empty(len(windows_BTF))
        for piece in _pieces(windows_BTF):
            score_B[piece] = self._score(windows_BTF[piece])
        return score_B

    def verdict(self, window_TF: FloatArray) -> tuple[float, bool]:
        """The score of one window in original units, and whether it is an anomaly: what `score` and
        `decide` say of it, in half of their time. Raises UnusableScore and InvalidRow as they do.
        """
        score = self._score_one(window_TF[None])
        return score, score > self._highest_normal or self.contract.any_out_of_range(window_TF)

    def verdicts(self, windows_BTF: FloatArray) -> list[tuple[float, bool]]:
        """`verdict` of each of a few windows, but for rounding. Raises as `score` does."""
        score_B = self.score(windows_BTF)
        anomaly_B = self.decide(windows_BTF, score_B)
        return list(zip(score_B.tolist(), anomaly_B.tolist(), strict=True))

    @property
    def _highest_normal(self) -> float:
        return self.threshold.value * (1 + ROUNDING)

    def _score_one(self, window_BTF: FloatArray) -> float:
        """The score of a single window, by the scorer's short way where nothing is missing."""
        if missing_values(window_BTF) is not None:
            return float(self._score(window_BTF)[0])
        network = self.network if self.scorer.needs_network else _NO_NETWORK
        scaled_BTF = self.scaler.transform_finite(window_BTF)
        rebuilt = _reconstruct(self.scaler, network, scaled_BTF)
        score = self.scorer.score_one(rebuilt)
        if not math.isfinite(score):
            raise _unusable(score)
        return score

    def _score(self, windows_BTF: FloatArray) -> FloatArray:
        missing_BTF = missing_values(windows_BTF)
        if missing_BTF is None:
            network = self.network if self.scorer.needs_network else _NO_NETWORK
            return _finite(self.scorer.score(rebuild(self.scaler, network, windows_BTF)))
        filler = self._filler(missing_BTF)
        rebuilt = rebuild(self.scaler, self.network, windows_BTF, self._fill)
        score_B = _finite(self.scorer.score(rebuilt))
        return filler.translate(score_B, missing_BTF, self._fill, self._untranslated)

    def decide(self, windows_BTF: FloatArray, score_B: FloatArray) -> npt.NDArray[np.bool_]:
        """Which windows are anomalies, shape (B,): those scored above the threshold, and those
        with a reading beyond its instrument's limits."""
        beyond_B = self.contract.out_of_range(windows_BTF).any(axis=(1, 2))
        above_B = score_B > self._highest_normal
        anomaly_B: npt.NDArray[np.bool_] = above_B | beyond_B
        return anomaly_B

    def judge(self, windows_BTF: FloatArray) -> Verdicts:
        """Everything there is to say of windows in original units, shape (B, T, F).

        Raises UnusableScore for a score that is not finite.
        """
        judged = [self._judge(windows_BTF[piece]) for piece in _pieces(windows_BTF)]
        return Verdicts(
            *(
                np.concatenate([getattr(verdicts, field.name) for verdicts in judged])
                for field in fields(Verdicts)
            )
        )

    def _judge(self, windows_BTF: FloatArray) -> Verdicts:
        rebuilt = self.rebuild(windows_BTF)
        score_B, contribution_BF = self.scorer.explain(rebuilt)
        score_B = _finite(score_B)
        missing_BTF = missing_values(windows_BTF)
        missing_BF = np.zeros(contribution_BF.shape, dtype=np.intp)
        if missing_BTF is not None:
            filler = self._filler(missing_BTF)
            score_B = filler.translate(score_B, missing_BTF, self._fill, self._untranslated)
            missing_BF = np.count_nonzero(missing_BTF, axis=1)
            contribution_BF = _present(contribution_BF, missing_BF < windows_BTF.shape[1])
        anomaly_B = self.decide(windows_BTF, score_B)
        blamed_B = anomaly_B & (missing_BF == 0).all(axis=1)
        if self.missing is not None and blamed_B.any():
            contribution_BF[blamed_B] = self._blamed(
                rebuilt[blamed_B], contribution_BF[blamed_B], score_B[blamed_B]
            )
        return Verdicts(
            score_B=score_B,
            anomaly_B=anomaly_B,
            p_value_B=self.calibration.p_value(score_B),
            severity_B=self.calibration.severity(score_B),
            contribution_BF=contribution_BF,
            expected_BF=self._expected(rebuilt, missing_BTF),
            out_of_range_BF=np.asarray(self.contract.out_of_range(windows_BTF).any(axis=1)),
            missing_BF=missing_BF,
        )

    def expected(self, windows_BTF: FloatArray) -> FloatArray:
        """What `judge` says was expected of each window's last row, shape (B, F), without judging
        it: nothing is scored or explained."""
        return self._expected(self.rebuild(windows_BTF), missing_values(windows_BTF))

    def _expected(self, rebuilt: Rebuilt, missing_BTF: BoolArray | None) -> FloatArray:
        expected_BF = rebuilt.rebuilt_MBTF[:, :, -1].mean(axis=0)
        if missing_BTF is not None:
            expected_BF = np.where(missing_BTF[:, -1], rebuilt.scaled_BTF[:, -1], expected_BF)
        return self.scaler.inverse(expected_BF)

    def _blamed(
        self, rebuilt: Rebuilt, contribution_BF: FloatArray, score_B: FloatArray
    ) -> FloatArray:
        """The contributions of anomalies, by what replacing a sensor would do to the score."""
        every = np.arange(len(rebuilt))

        def score_without(sensor_B: npt.NDArray[np.intp]) -> FloatArray:
            scaled_BTF = rebuilt.scaled_BTF.copy()
            scaled_BTF[every, :, sensor_B] = np.nan
            return self._untranslated(self._fill(scaled_BTF), None)

        return counterfactual(contribution_BF, score_B, score_without)

    def nearest_normal(self, windows_BTF: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """The normal windows next to each window among those that the scorer keeps, nearest first,
        in original units, shape (B, K, T, F), and the distances to them, shape (B, K): root mean
        squares over the window's values, in scaled units. None from a scorer that keeps none."""
        rebuilt = self.rebuild(windows_BTF)
        nearest_BKTF = self.scorer.nearest(rebuilt)
        if nearest_BKTF is None:
            return None
        step_BKTF = nearest_BKTF - rebuilt.scaled_BTF[:, None]
        distance_BK: FloatArray = np.sqrt(np.mean(step_BKTF**2, axis=(2, 3)))
        return self.scaler.inverse(nearest_BKTF), distance_BK

    def rebuild(self, windows_BTF: FloatArray) -> Rebuilt:
        """Windows in original units as the scorer sees them, missing values filled in."""
        missing_BTF = missing_values(windows_BTF)
        if missing_BTF is None:
            return rebuild(self.scaler, self.network, windows_BTF)
        self._filler(missing_BTF)
        return rebuild(self.scaler, self.network, windows_BTF, self._fill)

    def _fill(self, scaled_BTF: FloatArray) -> FloatArray:
        """Scaled windows with a value wherever NaN was: the imputer's, unless the scorer knows what
        the others tell of it more exactly."""
        assert self.missing is not None  # as the caller has seen
        missing_BTF = np.isnan(scaled_BTF)
        return self.scorer.settle(self.missing.fill(scaled_BTF), missing_BTF, self.scaler)

    def _filler(self, missing_BTF: BoolArray) -> MissingValues:
        """What fills in; raises InvalidRow, naming the first missing value, where nothing does."""
        if self.missing is None:
            sensor = self.contract.sensors[int(np.argwhere(missing_BTF)[0, 2])]
            detail = f"sensor '{sensor.name}' is missing, and this model fills nothing in"
            raise InvalidRow([Problem(f"{detail}; {sensor.wanted}", sensor.name)])
        return self.missing

    def _untranslated(self, scaled_BTF: FloatArray, learned_BTF: FloatArray | None) -> FloatArray:
        score_B = np.empty(len(scaled_BTF))
        for piece in _pieces(scaled_BTF):
            rebuilt = _reconstruct(self.scaler, self.network, scaled_BTF[piece])
            if learned_BTF is None:
                score_B[piece] = self.scorer.score(rebuilt)
            else:
                score_B[piece] = self.scorer.score_without(rebuilt, learned_BTF[piece])
        return score_B

    def windows(self, rows_NF: FloatArray) -> FloatArray:
        """Consecutive rows as this detector's windows; raises DataError with too few rows."""
        return np.asarray(sliding_windows(rows_NF, self.contract.window_length))


def rebuild(
    scaler: Scaler,
    network: Network,
    windows_BTF: FloatArray,
    fill: Callable[[FloatArray], FloatArray] | None = None,
) -> Rebuilt:
    """Windows in original units, scaled, filled in by `fill` where values are missing, and rebuilt;
    in pieces, so that many fit into memory."""
    parts = [_rebuild(scaler, network, windows_BTF[piece], fill) for piece in _pieces(windows_BTF)]
    if len(parts) == 1:
        return parts[0]
    return Rebuilt(
        np.concatenate([part.scaled_BTF for part in parts]),
        np.concatenate([part.rebuilt_MBTF for part in parts], axis=1),
        scaler,
    )


def _rebuild(
    scaler: Scaler,
    network: Network,
    windows_BTF: FloatArray,
    fill: Callable[[FloatArray], FloatArray] | None,
) -> Rebuilt:
    scaled_BTF = scaled(scaler, windows_BTF)
    return _reconstruct(scaler, network, scaled_BTF if fill is None else fill(scaled_BTF))


def scaled(scaler: Scaler, windows_BTF: FloatArray) -> FloatArray:
    """Windows in original units as the network sees them; NaN stays where it is."""
    return scaler.transform_finite(windows_BTF)


def _reconstruct(scaler: Scaler, network: Network, scaled_BTF: FloatArray) -> Rebuilt:
    rebuilt_MBTF = network.reconstruct(scaled_BTF)
    return Rebuilt(scaled_BTF, rebuilt_MBTF.astype(np.float64), scaler)


def pieces(count: int, values: int) -> Iterator[slice]:
    """Slices that cover `count` windows of `values` sensor values each, none larger than memory
    allows; one empty slice for no windows."""
    at_once = max(1, min(WINDOWS_AT_ONCE, VALUES_AT_ONCE // values))
    for start in range(0, max(1, count), at_once):
        yield slice(start, start + at_once)


def _pieces(windows_BTF: FloatArray) -> Iterator[slice]:
    count, length, sensors = windows_BTF.shape
    return pieces(count, length * sensors)


def _present(contribution_BF: FloatArray, measured_BF: BoolArray) -> FloatArray:
    """Contributions of the sensors that were measured: no other is to blame for anything."""
    part_BF = np.where(measured_BF, contribution_BF, 0.0)
    nothing_B1 = part_BF.sum(axis=1, keepdims=True) <= 0
    return shares(np.where(nothing_B1 & measured_BF, 1.0, part_BF))


def _finite(score_B: FloatArray) -> FloatArray:
    finite_B = np.isfinite(score_B)
    if not finite_B.all():
        raise _unusable(float(score_B[~finite_B][0]))
    return score_B


def _unusable(score: float) -> UnusableScore:
    return UnusableScore(f"the model scored {score}; a finite number is needed")
