"""Results as a tidy table: one figure a row, known by what was measured, of whom, when."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

COLUMNS = ["measure", "server", "variant", "round", "figure", "value", "note"]


@dataclass(frozen=True)
class Figure:
    """One figure; `note` is for what is no number, as the reason why there is none."""

    measure: str
    server: str
    figure: str
    value: float = math.nan
    variant: str = ""
    round: int = 0
    note: str = ""


def figures(
    measure: str, server: str, found: Mapping[str, float], variant: str = "", round: int = 0
) -> Iterator[Figure]:
    """One for each name."""
    for name, value in found.items():
        yield Figure(measure, server, name, value, variant, round)


def failed(measure: str, server: str, error: Exception, variant: str = "") -> Figure:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return Figure(measure, server, "failed", variant=variant, note=reason)


def write(path: Path, new: Iterable[Figure]) -> pd.DataFrame:
    """Put the figures into the table at `path` in place of those of the same measures, and read it
    as it is recorded."""
    table = pd.DataFrame([asdict(one) for one in new], columns=COLUMNS)
    if path.exists():
        before = read(path)
        kept = before[~before["measure"].isin(set(table["measure"]))]
        table = pd.concat([kept, table]) if len(kept) else table
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return read(path)


def read(path: Path) -> pd.DataFrame:
    texts = dict.fromkeys(["measure", "server", "variant", "figure", "note"], str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={"value": ["", "nan"]})


def of(table: pd.DataFrame, measure: str, figure: str, how: str = "median") -> dict[str, float]:
    """A figure of each server over its rounds, in the order of the table."""
    chosen = table[(table["measure"] == measure) & (table["figure"] == figure)]
    values = chosen.groupby("server", sort=False)["value"].agg(how)
    return {str(server): float(value) for server, value in values.items()}


def note_of(table: pd.DataFrame, measure: str, figure: str) -> dict[str, str]:
    """The note of a figure of each server."""
    chosen = table[(table["measure"] == measure) & (table["figure"] == figure)]
    return dict(zip(chosen["server"], chosen["note"], strict=True))
