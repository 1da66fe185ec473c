"""Tables of rows to tables of verdicts, one verdict a row, whatever a row holds.

Rows are judged in the order in which they come. A window reaches back over the rows before its last
one, also into the table before, but not over a pause: judging a table in pieces gives the verdicts
of the whole.
"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kizashi.data.cells import blank, numbers, times
from kizashi.data.findings import quoted, sensor_findings
from kizashi.data.load import SURPLUS
from kizashi.data.stretches import after_pause
from kizashi.runtime.detector import Detector, pieces

STATUSES = ("normal", "anomaly", "invalid")
NORMAL, ANOMALY, INVALID, UNJUDGED = range(4)

Flags = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


class RowJudge:
    """Judges the rows of one stream; `rows`, `judged`, `anomalies`, `bad`, `filled` and `pauses`
    count what has passed so far. `judged` are the rows with a verdict. A pause is a step of more
    than `longest_step` seconds in the time column.

    A row is bad when it has a cell that is no number, or more empty cells (in its window) than the
    data contract lets be missing; `filled` are the other rows with empty cells, which are filled
    in. `first_bad` keeps the first few bad ones, as sentences.
    """

    def __init__(
        self,
        detector: Detector,
        time_column: str | None = None,
        longest_step: float = math.inf,
    ) -> None:
        self._detector, self._time_column = detector, time_column
        self._longest_step = longest_step
        self._time_before: pd.Series = pd.Series([], dtype="datetime64[us, UTC]")
        self._length = detector.contract.window_length
        self._before_RF: FloatArray = np.empty((0, len(detector.contract.sensors)))
        self._bad_before_R: Flags = np.empty(0, dtype=bool)
        self._begins_before_R: Flags = np.empty(0, dtype=bool)
        self._remarks: dict[int, str] = {}
        self.rows = self.judged = self.anomalies = self.bad = self.filled = self.pauses = 0
        self.first_bad: list[str] = []

    def judge(self, frame: pd.DataFrame) -> pa.Table:
        """The verdicts on the next rows, one a row and in order.

        The time column, if there is one, stays as it is; then come `score`, `status` (normal,
        anomaly or invalid), `p_value`, `severity`, `top_sensor` (of an anomaly: the sensor that
        contributes most) and `reason`: why a row is invalid, which reading is beyond its
        instrument, or which sensors of a row are missing and filled in. A window that holds a bad
        row is invalid too. Rows before the first whole window, of the stream and after a pause,
        have neither score nor status, unless they are bad themselves.
        """
        count, carried = len(frame), len(self._before_RF)
        contract = self._detector.contract
        rows_NF, bad_rows_N = self._readings(frame)
        joined_NF = np.concatenate([self._before_RF, rows_NF])
        bad_N: Flags = np.concatenate([self._bad_before_R, bad_rows_N])
        begins_N: Flags = np.concatenate([self._begins_before_R, self._after_pause(frame)])
        bad_at, beyond_at = _latest(bad_N), _latest(self._beyond(joined_NF))
        opening = np.arange(len(joined_NF)) - (self._length - 1)  # each window's first row
        whole_N: Flags = (opening >= 0) & (opening >= _latest(begins_N))
        sound_N: Flags = whole_N & (bad_at < opening)
        missing_N = contract.missing_before(joined_NF)
        short_N: Flags = sound_N & (missing_N > contract.most_missing)
        sound_N &= ~short_N

        verdicts = _Verdicts(count)
        verdicts.status[(whole_N & ~sound_N)[carried:]] = INVALID
        verdicts.status[bad_N[carried:]] = INVALID
        self._judge_windows(joined_NF, np.flatnonzero(sound_N), carried, verdicts)
        anomaly_N = verdicts.status == ANOMALY
        flagged_N = anomaly_N & (beyond_at >= opening)[carried:]
        short_N, missing_N = short_N[carried:], missing_N[carried:]
        culprit_N = np.where(verdicts.status == INVALID, bad_at[carried:], beyond_at[carried:])
        told = np.flatnonzero((verdicts.status == INVALID) & ~short_N | flagged_N)
        offset = self.rows - carried
        for place, culprit in zip(told.tolist(), (culprit_N[told] + offset).tolist(), strict=True):
            verdicts.reason[place] = self._reason(self.rows + place, culprit)
        for place in np.flatnonzero(short_N).tolist():
            verdicts.reason[place] = contract.too_many_missing(int(missing_N[place]))
        refused_N = bad_rows_N | short_N
        filled_N: Flags = np.isnan(rows_NF).any(axis=1) & ~refused_N
        for place in np.flatnonzero(filled_N & (verdicts.status <= ANOMALY)).tolist():
            verdicts.reason.setdefault(place, self._remarks[self.rows + place])
        for place in np.flatnonzero(refused_N)[: 3 - len(self.first_bad)].tolist():
            self.first_bad.append(f"row {self.rows + place + 1}: {verdicts.reason[place]}")

        self._pass_on(joined_NF, bad_N, begins_N, count)
        self.judged += int((verdicts.status <= ANOMALY).sum())
        self.anomalies += int(anomaly_N.sum())
        self.bad += int(refused_N.sum())
        self.filled += int(filled_N.sum())
        return verdicts.table(self._times(frame), contract.names)

    def _after_pause(self, frame: pd.DataFrame) -> Flags:
        """Which of these rows come after a pause; remembers the time of the last."""
        if self._time_column is None or self._length == 1 or math.isinf(self._longest_step):
            return np.zeros(len(frame), dtype=bool)
        stamps = times(frame[self._time_column]).reset_index(drop=True)
        joined = pd.concat([self._time_before, stamps.astype("datetime64[us, UTC]")])
        begins_N = after_pause(joined, self._longest_step)[len(self._time_before) :]
        self._time_before = joined.iloc[-1:]
        self.pauses += int(begins_N.sum())
        return begins_N

    def _readings(self, frame: pd.DataFrame) -> tuple[FloatArray, Flags]:
        """Sensor values, (N, F), NaN where a cell is empty or no number, and which rows are bad by
        themselves; remembers what is wrong with rows."""
        sensors = self._detector.contract.sensors
        rows_NF = np.empty((len(frame), len(sensors)))
        for index, sensor in enumerate(sensors):
            rows_NF[:, index] = numbers(frame[sensor.name]).to_numpy()
        beyond_NF = self._detector.contract.out_of_range(rows_NF)
        unread_NF, bad_N = np.isnan(rows_NF), np.zeros(len(frame), dtype=bool)
        for index, sensor in enumerate(sensors):
            unread = np.flatnonzero(unread_NF[:, index])
            beyond = np.flatnonzero(beyond_NF[:, index])
            if not len(unread) and not len(beyond):
                continue
            if self._detector.contract.most_missing:
                empty = blank(frame[sensor.name].iloc[unread]).to_numpy(dtype=bool)
                for place in unread[empty].tolist():
                    self._remark(place, f"sensor '{sensor.name}' is missing")
                unread = unread[~empty]
            bad_N[unread] = True
            for found in sensor_findings(frame[sensor.name], sensor, unread, beyond):
                for place, reason in zip(found.places.tolist(), found.reasons, strict=True):
                    self._remark(place, reason)
        if SURPLUS in frame:
            self._refuse_surplus(frame[SURPLUS], rows_NF, bad_N)
        return rows_NF, bad_N

    def _refuse_surplus(self, surplus: pd.Series, rows_NF: FloatArray, bad_N: Flags) -> None:
        """A row with more cells than the header has names may have every cell in a wrong place."""
        for place in np.flatnonzero(~blank(surplus).to_numpy()).tolist():
            rows_NF[place], bad_N[place] = np.nan, True
            cell = quoted(surplus.iloc[place])
            self._remark(place, f"a cell beyond the header is {cell}; one a column is needed")

    def _remark(self, place: int, text: str) -> None:
        known = self._remarks.get(self.rows + place)
        self._remarks[self.rows + place] = f"{known}; {text}" if known else text

    def _reason(self, row: int, culprit: int) -> str:
        text = self._remarks[culprit]
        return text if culprit == row else f"row {culprit + 1} in its window: {text}"

    def _beyond(self, joined_NF: FloatArray) -> Flags:
        beyond_N: Flags = np.any(self._detector.contract.out_of_range(joined_NF), axis=1)
        return beyond_N

    def _judge_windows(
        self, joined_NF: FloatArray, ends: npt.NDArray[np.intp], carried: int, verdicts: "_Verdicts"
    ) -> None:
        """Judge the windows that end at the rows `ends` of `joined_NF`."""
        if not len(ends):
            return
        windows_BTF = self._detector.windows(joined_NF)
        # Chosen windows are copies, no longer views of the rows, so they are chosen in pieces.
        for piece in pieces(len(ends), self._length * joined_NF.shape[1]):
            some = ends[piece]
            judged = self._detector.judge(windows_BTF[some - (self._length - 1)])
            places = some - carried
            verdicts.score[places] = judged.score_B
            verdicts.p_value[places] = judged.p_value_B
            verdicts.severity[places] = judged.severity_B
            verdicts.status[places] = np.where(judged.anomaly_B, ANOMALY, NORMAL)
            verdicts.top_sensor[places] = judged.contribution_BF.argmax(axis=1)

    def _pass_on(self, joined_NF: FloatArray, bad_N: Flags, begins_N: Flags, count: int) -> None:
        """Count, and keep of the past what windows to come reach back to."""
        self.rows += count
        kept = min(self._length - 1, len(joined_NF))
        self._before_RF = joined_NF[len(joined_NF) - kept :].copy()
        self._bad_before_R = bad_N[len(joined_NF) - kept :].copy()
        self._begins_before_R = begins_N[len(joined_NF) - kept :].copy()
        self._remarks = {row: t for row, t in self._remarks.items() if row >= self.rows - kept}

    def _times(self, frame: pd.DataFrame) -> dict[str, pa.Array]:
        if self._time_column is None:
            return {}
        times = pa.Array.from_pandas(frame[self._time_column])
        # Large strings only differ in how much one array can hold.
        return {self._time_column: times.cast("string") if times.type == "large_string" else times}


class _Verdicts:
    """What is said of the rows of one table."""

    def __init__(self, rows: int) -> None:
        self.status = np.full(rows, UNJUDGED, dtype=np.int8)
        self.score, self.p_value, self.severity = np.full((3, rows), np.nan)
        self.top_sensor = np.zeros(rows, dtype=np.int32)
        self.reason: dict[int, str] = {}

    def table(self, times: dict[str, pa.Array], sensors: tuple[str, ...]) -> pa.Table:
        unscored = self.status >= INVALID
        reason = np.full(len(self.status), None, dtype=object)
        for place, text in self.reason.items():
            reason[place] = text
        return pa.table(
            {
                **times,
                "score": pa.array(self.score, mask=unscored),
                "status": _named(self.status, STATUSES, self.status == UNJUDGED),
                "p_value": pa.array(self.p_value, mask=unscored),
                "severity": pa.array(self.severity, mask=unscored),
                "top_sensor": _named(self.top_sensor, sensors, self.status != ANOMALY),
                "reason": pa.array(reason, pa.string()),
            }
        )


def _named(code: npt.NDArray[np.signedinteger], names: tuple[str, ...], nothing: Flags) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(code, mask=nothing), names).cast(pa.string())


def _latest(flagged_N: Flags) -> npt.NDArray[np.int64]:
    """The place of the latest flagged row up to and including each row, or where there is none a
    place before every window."""
    places = np.arange(len(flagged_N))
    latest: npt.NDArray[np.int64] = np.maximum.accumulate(
        np.where(flagged_N, places, np.iinfo(np.int64).min)
    )
    return latest
