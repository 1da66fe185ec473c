"""Markdown tables and how figures are written in them."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

SKIPPED = "skipped: "
"""So begins the `failed` of a case on which a measurement makes no sense."""


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pair(values: Iterable[float], digits: int = 3) -> str:
    return " / ".join(number(value, digits) for value in values)


def number(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2%}"


def failures(table: pd.DataFrame, names: Sequence[str] = ("case", "method", "seed")) -> str:
    """A line for everything that is missing, and why; what was skipped once for each case."""
    lost = table[table["failed"] != ""].drop_duplicates(list(names))
    skipped = lost["failed"].str.startswith(SKIPPED)
    lines = [
        f"- {row.case} was {row.failed}"
        for row in lost[skipped].drop_duplicates("case").itertuples()
    ]
    lines += [
        f"- {row.method} failed on {row.case} with seed {row.seed}: {row.failed}"
        for row in lost[~skipped].itertuples()
    ]
    return "\n".join(lines)
