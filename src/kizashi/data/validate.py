"""Good rows on one side, bad rows with their reasons on the other, and a report about both.

Row numbers count the rows of data from 1, the header not counted: in a CSV file without line breaks
inside cells, row N is line N + 1. Bad rows never cost a good one: the rows around them stay.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import pandera.pandas as pa

from kizashi.data.cells import blank, numbers, times
from kizashi.data.findings import Finding, finding, order_findings, sensor_findings
from kizashi.data.load import FAULT, LABEL, SURPLUS, listed
from kizashi.data.order import Places
from kizashi.data.report import describe, parted
from kizashi.data.stretches import (
    AUTO,
    STRETCH,
    Flags,
    MaxStep,
    after_pause,
    longest_step,
    stretches,
)
from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import DataContract, Sensor

NOTHING = np.empty(0, dtype=np.int64)
MISPLACED = ("duplicate_timestamp", "unordered_timestamp")
LARGEST_LEARNED = 1e100
"""The largest size of a reading to learn from. No instrument reads as much; beyond its square the
spread of a sensor is infinite, and a detector would be blind to it without a word."""


@dataclass(frozen=True)
class Validation:
    """What became of a table.

    `rows`: good rows in order, the timestamp (UTC) first if there is one, then the sensors of the
    contract as float64, then `label` and `fault` for labelled data, then in STRETCH the number of
    each row's stretch (`kizashi.data.stretches`). `quarantine`: bad rows as they were read, between
    their number (`row`) and all that is wrong with them (`reason`). `report`: counts, the first
    findings, warnings, each sensor's range and the stretches, fit for JSON.
    """

    rows: pd.DataFrame
    quarantine: pd.DataFrame
    report: dict[str, Any]

    def require_usable(self, max_bad_share: float = 0.01) -> Self:
        """Return this validation if its rows can be used.

        Raises DataError when no row is good, when the share of bad rows is above `max_bad_share`,
        when pauses leave no window whole, or when every sensor of unlabelled data is constant.
        """
        if isinstance(max_bad_share, bool) or not 0 <= max_bad_share <= 1:
            raise ConfigurationError(
                f"max_bad_share is {max_bad_share!r}; a share of the rows from 0 to 1 is needed"
            )
        bad, total = len(self.quarantine), self.report["source_rows"]
        if not len(self.rows):
            raise DataError(self._refusal(f"none of the {total:,} rows can be used"))
        if bad > max_bad_share * total:
            share = f"{bad:,} of {total:,} rows are bad ({bad / total:.1%})"
            raise DataError(self._refusal(f"{share}; at most {max_bad_share:.1%} may be"))
        found = self.report["stretches"]
        if found["rows_in_no_window"] == len(self.rows) and found["count"] > 1:
            raise DataError(
                f"no window of {found['window_length']} rows is whole: {parted(found)}; choose a "
                "shorter window.length, or a larger data.max_step where these steps are no pauses"
            )
        ranges = self.report["sensors"].values()
        if not self.report["labelled"] and all(sensor["constant"] for sensor in ranges):
            rows = f"all {len(self.rows):,} good rows" if len(self.rows) > 1 else "the one good row"
            raise DataError(
                f"every sensor is constant in {rows}; rows of a machine at work are needed"
            )
        return self

    def _refusal(self, headline: str) -> str:
        counts = ", ".join(f"{kind} {count:,}" for kind, count in self.report["counts"].items())
        first = [f"  {finding['detail']}" for finding in self.report["findings"]["first"][:5]]
        total = self.report["findings"]["total"]
        rest = [f"  … {total - len(first):,} more"] if total > len(first) else []
        return "\n".join([f"{headline} ({counts}):", *first, *rest, self._advice()])

    def _advice(self) -> str:
        counts = self.report["counts"]
        kind = max(counts, key=lambda kind: counts[kind], default="")
        if kind in MISPLACED:
            return (
                "Sort the rows by time and keep one of each; if the file's order is right, set "
                "data.timestamp to null."
            )
        if kind == "not_normal":
            return "Leave out the rows labelled 1; they belong in the labelled table."
        if self.rows.empty:
            return "Correct the rows where they come from."
        return (
            "Correct the rows where they come from, or raise data.max_bad_share to leave out more "
            "of them."
        )


def examine(
    frame: pd.DataFrame,
    contract: DataContract,
    timestamp: str | None,
    labelled: bool = False,
    max_step: MaxStep = AUTO,
) -> Validation:
    """Sort the rows of a table, as `read_table` gives it, into good and bad ones.

    A row is bad when a reading is missing or no finite number, when its timestamp is missing, no
    time, that of an earlier row or out of order, or when it has more cells than the header.
    Normal data must also lie within the instruments' limits, be no larger than LARGEST_LEARNED and
    not be labelled 1. Labelled data may lie beyond them, since the strongest faults must be scored,
    and needs `label` 0 or 1; `fault` is empty where the table has none. With `timestamp` None the
    file's order counts. A step of time above `max_step` is a pause.

    Raises DataError when a column is missing.
    """
    raw = frame.reset_index(drop=True)
    parsed = _parsed(raw, contract, timestamp)
    findings = list(_findings(raw, parsed, contract, timestamp, labelled))
    bad, reasons = _bad_rows(findings)
    quarantine = raw.iloc[bad].reset_index(drop=True)
    quarantine.insert(0, "row", bad + 1, allow_duplicates=True)
    quarantine.insert(len(quarantine.columns), "reason", reasons, allow_duplicates=True)
    good = np.ones(len(raw), dtype=bool)
    good[bad] = False
    rows = parsed.loc[good, [name for name in (timestamp, *contract.names) if name is not None]]
    if labelled:
        rows[LABEL] = parsed.loc[good, LABEL].astype("int64")
        rows[FAULT] = _faults(raw)[good]
    longest = np.inf if timestamp is None else longest_step(rows[timestamp], max_step)
    begins_N = _after_a_lost_row(findings, good)
    if timestamp is not None:
        begins_N |= after_pause(rows[timestamp], longest)
    rows[STRETCH] = stretches(begins_N)
    rows = rows.reset_index(drop=True)
    report = describe(raw, rows, findings, contract, timestamp, labelled, longest)
    return Validation(rows, quarantine, report)


def _after_a_lost_row(findings: Iterable[Finding], good: Flags) -> Flags:
    """Which good rows come after a bad one that stands between them and the good row before.

    A row that is bad for its place in time, a record written twice say, does not: its time is not
    between theirs.
    """
    lost = ~good
    for found in findings:
        if found.kind in MISPLACED:
            lost[found.places] = False
    return np.diff(np.cumsum(lost)[good], prepend=0) > 0


def _bad_rows(findings: Iterable[Finding]) -> tuple[Places, list[str]]:
    """Places of the bad rows, rising, and all that is wrong with each."""
    reasons: defaultdict[int, list[str]] = defaultdict(list)
    for found in findings:
        for place, reason in zip(found.places.tolist(), found.reasons, strict=True):
            reasons[place].append(reason)
    bad = sorted(reasons)
    return np.array(bad, dtype=np.int64), ["; ".join(reasons[place]) for place in bad]


def _parsed(raw: pd.DataFrame, contract: DataContract, timestamp: str | None) -> pd.DataFrame:
    """The columns that have a meaning, as numbers and times; absent ones are left to the schema."""
    columns = {name: numbers(raw[name]) for name in contract.names if name in raw}
    if timestamp is not None and timestamp in raw:
        columns[timestamp] = times(raw[timestamp])
    if LABEL in raw and LABEL not in columns:
        label = raw[LABEL]
        columns[LABEL] = numbers(label.astype("int64") if label.dtype == bool else label)
    return pd.DataFrame(columns, index=raw.index)


def _faults(raw: pd.DataFrame) -> pd.Series:
    if FAULT not in raw:
        return pd.Series("", index=raw.index, dtype="str")
    return raw[FAULT].astype("str").fillna("").str.strip()


def _findings(
    raw: pd.DataFrame,
    parsed: pd.DataFrame,
    contract: DataContract,
    timestamp: str | None,
    labelled: bool,
) -> Iterator[Finding]:
    """Every kind of thing that is wrong, in the order in which a row's reasons are given."""
    if SURPLUS in raw:
        named = len(raw.columns) - 1
        surplus = np.flatnonzero(~blank(raw[SURPLUS]))
        wanted = f"{named} cells are needed"
        yield finding("surplus_cells", raw[SURPLUS], surplus, "beyond the header stands ", wanted)
    failed = _failures(parsed, _schema(contract, timestamp, labelled), raw, labelled)
    if timestamp is not None:
        unread = failed.get((timestamp, "time"), NOTHING)
        wanted = "a time such as 2026-01-05T00:00:00Z is needed"
        yield finding("bad_timestamp", raw[timestamp], unread, f"{timestamp} is ", wanted)
        yield from order_findings(raw[timestamp], parsed[timestamp])
    for sensor in contract.sensors:
        yield from sensor_findings(
            raw[sensor.name],
            sensor,
            unread=failed.get((sensor.name, "reading"), NOTHING),
            beyond=failed.get((sensor.name, "limits"), NOTHING),
        )
        yield finding(
            "too_large",
            raw[sensor.name],
            failed.get((sensor.name, "size"), NOTHING),
            f"sensor '{sensor.name}' is ",
            f"a size of at most {LARGEST_LEARNED:g} is needed",
        )
    if (LABEL, "label") in failed:
        kind = "bad_label" if labelled else "not_normal"
        wanted = "0 or 1 is needed" if labelled else "only normal rows are learnt from"
        yield finding(kind, raw[LABEL], failed[LABEL, "label"], f"{LABEL} is ", wanted)


def _schema(contract: DataContract, timestamp: str | None, labelled: bool) -> pa.DataFrameSchema:
    """What parsed columns must hold; each check's name is a key of `_failures`."""
    columns = {}
    for sensor in contract.sensors:
        checks = [_check("reading", pd.Series.notna)]
        if not labelled:
            checks.append(_check("size", lambda readings: ~(readings.abs() > LARGEST_LEARNED)))
        if not labelled and (sensor.low is not None or sensor.high is not None):
            checks.append(_check("limits", _within(sensor)))
        columns[sensor.name] = pa.Column(float, checks, nullable=True)
    if timestamp is not None:
        columns[timestamp] = pa.Column(checks=[_check("time", pd.Series.notna)], nullable=True)
    if LABEL not in columns:
        check = (lambda label: label.isin([0, 1])) if labelled else (lambda label: label != 1)
        columns[LABEL] = pa.Column(
            checks=[_check("label", check)], nullable=True, required=labelled
        )
    return pa.DataFrameSchema(columns)


def _check(name: str, holds: Callable[[pd.Series], pd.Series]) -> pa.Check:
    # One failure case is enough: the check's whole output says the same as a list of the cases,
    # which takes pandera 20 s for three million.
    return pa.Check(holds, name=name, ignore_na=False, n_failure_cases=1)


def _within(sensor: Sensor) -> Callable[[pd.Series], pd.Series]:
    low = -np.inf if sensor.low is None else sensor.low
    high = np.inf if sensor.high is None else sensor.high
    return lambda readings: readings.isna() | readings.between(low, high)


def _failures(
    parsed: pd.DataFrame, schema: pa.DataFrameSchema, raw: pd.DataFrame, labelled: bool
) -> dict[tuple[str, str], Places]:
    """Places of the failing rows by column and check; raises DataError for missing columns."""
    try:
        schema.validate(parsed, lazy=True)
    except pa.errors.SchemaErrors as refused:
        errors = refused.schema_errors
    else:
        return {}
    missing = [
        str(error.failure_cases)
        for error in errors
        if error.reason_code is pa.errors.SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME
    ]
    if missing:
        raise DataError(_missing(missing, raw, labelled))
    return {
        (str(error.schema.name), str(error.check.name)): np.flatnonzero(~error.check_output)
        for error in errors
    }


def _missing(names: list[str], raw: pd.DataFrame, labelled: bool) -> str:
    plural = "s" if len(names) > 1 else ""
    absent = ", ".join(f"'{name}'" for name in names)
    table = "labelled table" if labelled else "table"
    instead = "; or do without labelled rows: data.labelled=null" if labelled else ""
    return (
        f"column{plural} {absent} missing; the {table} has {listed(raw.columns)}. Rename the "
        "columns, or say in conf/data which sensors there are and which column is the timestamp "
        f"(null if there is none){instead}"
    )
