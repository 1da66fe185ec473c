"""What is wrong with rows, said cell by cell."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kizashi.data.cells import blank
from kizashi.data.order import Places, time_order
from kizashi.runtime.contract import Sensor

CHARACTERS_SHOWN = 60


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong in one column, at `places` (rows counted from 0, rising).

    For each place, `values` quotes the cell and `reasons` says what is wrong with it, without the
    row's number.
    """

    kind: str
    column: str
    places: Places
    values: list[str]
    reasons: list[str]


def quoted(cell: object) -> str:
    """A cell as findings quote it: text in quotes, an empty cell as such, never at length."""
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return "empty"
    if not isinstance(cell, str):
        return str(cell)
    text = cell.strip()
    if not text:
        return "empty"
    return repr(text if len(text) <= CHARACTERS_SHOWN else text[: CHARACTERS_SHOWN - 1] + "…")


def finding(kind: str, cells: pd.Series, places: Places, before: str, wanted: str) -> Finding:
    """A finding whose reason has the same words before and after the cell's value in every row."""
    values = [quoted(cell) for cell in cells.iloc[places].tolist()]
    reasons = [f"{before}{value}; {wanted}" for value in values]
    return Finding(kind, str(cells.name), places, values, reasons)


def order_findings(cells: pd.Series, stamps: pd.Series) -> Iterator[Finding]:
    """Times that an earlier row has, and times that stand before or after the wrong rows."""
    known = np.flatnonzero(stamps.notna())
    ticks = stamps.iloc[known].dt.tz_localize(None).to_numpy().astype("int64")
    order = time_order(ticks, known)
    name = str(cells.name)
    values = [quoted(cell) for cell in cells.iloc[order.repeated].tolist()]
    reasons = [
        f"{name} {value} stands already in row {partner + 1}"
        for value, partner in zip(values, order.repeated_partner.tolist(), strict=True)
    ]
    yield Finding("duplicate_timestamp", name, order.repeated, values, reasons)
    values = [quoted(cell) for cell in cells.iloc[order.misplaced].tolist()]
    partners = [quoted(cell) for cell in cells.iloc[order.misplaced_partner].tolist()]
    sides = np.where(order.misplaced_partner < order.misplaced, "after", "before").tolist()
    reasons = [
        f"{name} {value} is out of order; a time {side} {other} of row {row + 1} is needed"
        for value, side, other, row in zip(
            values, sides, partners, order.misplaced_partner.tolist(), strict=True
        )
    ]
    yield Finding("unordered_timestamp", name, order.misplaced, values, reasons)


def sensor_findings(
    cells: pd.Series, sensor: Sensor, unread: Places, beyond: Places
) -> Iterator[Finding]:
    """Readings that are missing or no finite number, and those beyond the instrument's limits."""
    empty = blank(cells.iloc[unread]).to_numpy(dtype=bool)
    what = f"sensor '{sensor.name}' is "
    for kind, places, wanted in (
        ("missing_value", unread[empty], sensor.wanted),
        ("not_a_number", unread[~empty], sensor.wanted),
        ("out_of_range", beyond, _allowed(sensor)),
    ):
        yield finding(kind, cells, places, what, wanted)


def _allowed(sensor: Sensor) -> str:
    limits = [
        f"{word} {limit:g}"
        for word, limit in (("from", sensor.low), ("to", sensor.high))
        if limit is not None
    ]
    return f"the instrument reads {' '.join(limits)} {sensor.unit}".rstrip()
