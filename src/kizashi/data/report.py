"""What validation found, as one JSON-ready account."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kizashi.data.findings import Finding
from kizashi.data.load import FAULT, LABEL, SURPLUS
from kizashi.runtime.contract import DataContract

FINDINGS_SHOWN = 100


def describe(
    raw: pd.DataFrame,
    rows: pd.DataFrame,
    findings: Sequence[Finding],
    contract: DataContract,
    timestamp: str | None,
    labelled: bool,
) -> dict[str, Any]:
    """The report on a table `raw` of which `rows` are good; every value is fit for JSON."""
    counts: dict[str, int] = {}
    for finding in findings:
        if len(finding.places):
            counts[finding.kind] = counts.get(finding.kind, 0) + len(finding.places)
    sensors = {
        sensor.name: {"unit": sensor.unit, **_range(rows[sensor.name])}
        for sensor in contract.sensors
    }
    known = {timestamp, LABEL, FAULT, SURPLUS, *contract.names}
    ignored = [str(name) for name in raw.columns if name not in known]
    # With a timestamp, a repeat is the same record twice; without, it may be chance.
    compared = [name for name in (timestamp, *contract.names) if name is not None]
    bad = len(raw) - len(rows)
    return {
        "labelled": labelled,
        "source_rows": len(raw),
        "good_rows": len(rows),
        "bad_rows": bad,
        "bad_share": bad / len(raw) if len(raw) else 0.0,
        "row_numbers": "count the rows of data from 1, the header not counted",
        "counts": counts,
        "findings": {"total": sum(counts.values()), "first": _first(findings)},
        "warnings": _warnings(rows, contract),
        "ignored_columns": ignored,
        "repeated_rows": int(raw[compared].duplicated().sum()),
        "sensors": sensors,
        "time": None if timestamp is None else _time(rows[timestamp]),
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
