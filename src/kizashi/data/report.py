"""What validation found, as one JSON-ready account."""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kizashi.data.findings import Finding
from kizashi.data.load import FAULT, LABEL, SURPLUS
from kizashi.data.stretches import STRETCH
from kizashi.runtime.contract import DataContract
from kizashi.runtime.windows import stretch_lengths

FINDINGS_SHOWN = 100


def describe(
    raw: pd.DataFrame,
    rows: pd.DataFrame,
    findings: Sequence[Finding],
    contract: DataContract,
    timestamp: str | None,
    labelled: bool,
    longest: float,
) -> dict[str, Any]:
    """The report on a table `raw` of which `rows` are good, and in which a step of more than
    `longest` seconds is a pause; every value is fit for JSON."""
    counts: dict[str, int] = {}
    for finding in findings:
        if len(finding.places):
            counts[finding.kind] = counts.get(finding.kind, 0) + len(finding.places)
    sensors = {
        sensor.name: {"unit": sensor.unit, **_range(rows[sensor.name])}
        for sensor in contract.sensors
    }
    known = {timestamp, LABEL, FAULT, SURPLUS, STRETCH, *contract.names}
    ignored = [str(name) for name in raw.columns if name not in known]
    # With a timestamp, a repeat is the same record twice; without, it may be chance.
    compared = [name for name in (timestamp, *contract.names) if name is not None]
    bad = len(raw) - len(rows)
    stretches = _stretches(rows[STRETCH], contract.window_length, longest)
    return {
        "labelled": labelled,
        "source_rows": len(raw),
        "good_rows": len(rows),
        "bad_rows": bad,
        "bad_share": bad / len(raw) if len(raw) else 0.0,
        "row_numbers": "count the rows of data from 1, the header not counted",
        "counts": counts,
        "findings": {"total": sum(counts.values()), "first": _first(findings)},
        "warnings": [*_warnings(rows, contract), *_outside(stretches)],
        "ignored_columns": ignored,
        "repeated_rows": int(raw[compared].duplicated().sum()),
        "sensors": sensors,
        "time": None if timestamp is None else _time(rows[timestamp]),
        "stretches": stretches,
    }


def _first(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The first findings in the order of rows."""
    early = (
        (place, order, index)
        for order, finding in enumerate(findings)
        for index, place in enumerate(finding.places[:FINDINGS_SHOWN].tolist())
    )
    return [
        {
            "row": place + 1,
            "column": findings[order].column,
            "kind": findings[order].kind,
            "value": findings[order].values[index],
            "detail": f"row {place + 1}: {findings[order].reasons[index]}",
        }
        for place, order, index in heapq.nsmallest(FINDINGS_SHOWN, early)
    ]


def _range(readings: pd.Series) -> dict[str, Any]:
    if readings.empty:
        return {"min": None, "max": None, "mean": None, "constant": False}
    low, high = float(readings.min()), float(readings.max())
    return {"min": low, "max": high, "mean": float(readings.mean()), "constant": low == high}


def _warnings(rows: pd.DataFrame, contract: DataContract) -> list[str]:
    warnings = []
    for name in contract.names:
        readings = rows[name].to_numpy()
        if len(readings) and (readings == readings[0]).all():
            warnings.append(
                f"sensor '{name}' is constant ({readings[0]:g} in every row): it teaches nothing, "
                "and any other value will be far from normal"
            )
        elif len(readings) > 2 and (np.diff(readings) > 0).all():
            warnings.append(
                f"sensor '{name}' rises in every row, like a counter: later values were never "
                "learnt; leave it out unless it is measured"
            )
    return warnings


def _stretches(stretch: pd.Series, window_length: int, longest: float) -> dict[str, Any]:
    lengths = stretch_lengths(stretch.to_numpy())
    return {
        "max_step_s": longest if np.isfinite(longest) else None,
        "count": len(lengths),
        "longest_rows": int(lengths.max(initial=0)),
        "window_length": window_length,
        "rows_in_no_window": int(lengths[lengths < window_length].sum()),
    }


def parted(stretches: Mapping[str, Any]) -> str:
    """The stretches of a report, in words; empty where they matter to no window."""
    if stretches["count"] < 2 or stretches["window_length"] == 1:
        return ""
    step = stretches["max_step_s"]
    pauses = "" if step is None else f"pauses (steps above {step:g} s) or "
    return (
        f"{pauses}rows left out part the rows into {stretches['count']:,} stretches, the longest "
        f"of {stretches['longest_rows']:,} rows"
    )


def _outside(stretches: Mapping[str, Any]) -> list[str]:
    """A warning where some stretches are too short for a window."""
    outside, length = stretches["rows_in_no_window"], stretches["window_length"]
    if not outside:
        return []
    return [f"{outside:,} rows are in no window of {length} rows, because their stretch is shorter"]


def _time(stamps: pd.Series) -> dict[str, Any]:
    if stamps.empty:
        return {"first": None, "last": None, "typical_step_s": None, "longest_step_s": None}
    steps = stamps.diff().dt.total_seconds().iloc[1:]
    return {
        "first": stamps.iloc[0].isoformat(),
        "last": stamps.iloc[-1].isoformat(),
        "typical_step_s": float(steps.median()) if len(steps) else None,
        "longest_step_s": float(steps.max()) if len(steps) else None,
    }
