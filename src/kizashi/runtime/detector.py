"""The detector: window → scale → reconstruct → score → calibrate → decide → explain."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from kizashi.errors import UnusableScore
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.network import Network
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring import Rebuilt, Scorer
from kizashi.runtime.thresholds import Threshold
from kizashi.runtime.windows import sliding_windows

FloatArray = npt.NDArray[np.float64]

FURTHEST_SCALED = 1e6
"""Scaled values are cut here: beyond it single precision has no meaning, and a reading a million
standard deviations away is as anomalous as can be. It keeps every finite input scorable."""

WINDOWS_AT_ONCE = 16_384
"""Large inputs go through in pieces of this many windows: larger pieces are no faster."""
VALUES_AT_ONCE = 2**21
"""Sensor values in one piece, which bounds memory for long windows."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a detector says of `B` windows; sensor values are of each window's last row."""

    score_B: FloatArray
    anomaly_B: npt.NDArray[np.bool_]
    p_value_B: FloatArray
    severity_B: FloatArray
    contribution_BF: FloatArray
    expected_BF: FloatArray
    """The rebuilt last row, in original units."""
    out_of_range_BF: npt.NDArray[np.bool_]
    """Readings beyond their instrument's limits anywhere in the window."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Everything that turns rows of sensor values into verdicts."""

    contract: DataContract
    scaler: Scaler
    network: Network
    scorer: Scorer
    calibration: Calibration
    threshold: Threshold

    def score(self, windows_BTF: FloatArray) -> FloatArray:
        """One score a window, shape (B,), from values in original units, shape (B, T, F).

        Raises UnusableScore for a score that is not finite.
        """
        score_B = np.empty(len(windows_BTF))
        for piece in _pieces(windows_BTF):
            score_B[piece] = _finite(self.scorer.score(self.rebuild(windows_BTF[piece])))
        return score_B

    def decide(self, windows_BTF: FloatArray, score_B: FloatArray) -> npt.NDArray[np.bool_]:
        """Which windows are anomalies, shape (B,): those scored above the threshold, and those
        with a reading beyond its instrument's limits."""
        beyond_B = self.contract.out_of_range(windows_BTF).any(axis=(1, 2))
        anomaly_B: npt.NDArray[np.bool_] = (score_B > self.threshold.value) | beyond_B
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
        expected_BF = rebuilt.rebuilt_MBTF[:, :, -1].mean(axis=0)
        return Verdicts(
            score_B=_finite(score_B),
            anomaly_B=self.decide(windows_BTF, score_B),
            p_value_B=self.calibration.p_value(score_B),
            severity_B=self.calibration.severity(score_B),
            contribution_BF=contribution_BF,
            expected_BF=self.scaler.inverse(expected_BF),
            out_of_range_BF=np.asarray(self.contract.out_of_range(windows_BTF).any(axis=1)),
        )

    def rebuild(self, windows_BTF: FloatArray) -> Rebuilt:
        """Windows in original units as the scorer sees them."""
        return rebuild(self.scaler, self.network, windows_BTF)

    def windows(self, rows_NF: FloatArray) -> FloatArray:
        """Consecutive rows as this detector's windows; raises DataError with too few rows."""
        return np.asarray(sliding_windows(rows_NF, self.contract.window_length))


def rebuild(scaler: Scaler, network: Network, windows_BTF: FloatArray) -> Rebuilt:
    """Windows in original units, scaled and rebuilt; in pieces, so that many fit into memory."""
    parts = [_rebuild(scaler, network, windows_BTF[piece]) for piece in _pieces(windows_BTF)]
    if len(parts) == 1:
        return parts[0]
    return Rebuilt(
        np.concatenate([part.scaled_BTF for part in parts]),
        np.concatenate([part.rebuilt_MBTF for part in parts], axis=1),
    )


def _rebuild(scaler: Scaler, network: Network, windows_BTF: FloatArray) -> Rebuilt:
    with np.errstate(over="ignore"):  # an infinite scaled value is cut like any other
        scaled_BTF = scaler.transform(windows_BTF)
    scaled_BTF = np.clip(scaled_BTF, -FURTHEST_SCALED, FURTHEST_SCALED)
    rebuilt_MBTF = network.reconstruct(scaled_BTF.astype(np.float32))
    return Rebuilt(scaled_BTF, rebuilt_MBTF.astype(np.float64))


def pieces(count: int, values: int) -> Iterator[slice]:
    """Slices that cover `count` windows of `values` sensor values each, none larger than memory
    allows; one empty slice for no windows."""
    at_once = max(1, min(WINDOWS_AT_ONCE, VALUES_AT_ONCE // values))
    for start in range(0, max(1, count), at_once):
        yield slice(start, start + at_once)


def _pieces(windows_BTF: FloatArray) -> Iterator[slice]:
    count, length, sensors = windows_BTF.shape
    return pieces(count, length * sensors)


def _finite(score_B: FloatArray) -> FloatArray:
    unusable_B = ~np.isfinite(score_B)
    if unusable_B.any():
        first = float(score_B[unusable_B][0])
        raise UnusableScore(f"the model scored {first}; a finite number is needed")
    return score_B
