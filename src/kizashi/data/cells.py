"""What a cell of a table means, decided in one place: a number, a time, or nothing."""

import numpy as np
import pandas as pd

_LAST_MICROSECOND = 253_402_300_799_000_000  # the end of the year 9999


def numbers(column: pd.Series) -> pd.Series:
    """Cells as float64; NaN where a cell is not a finite number (a boolean is not one)."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or getattr(kind, "kind", "O") in "mM":
        return pd.Series(np.nan, index=column.index, name=column.name)
    if not pd.api.types.is_numeric_dtype(kind):
        column = column.astype("str")
    readings = pd.to_numeric(column, errors="coerce").astype("float64")
    return readings.where(np.isfinite(readings))


def times(column: pd.Series) -> pd.Series:
    """Cells as UTC times; NaT where a cell is none.

    Text is ISO 8601 (`2026-01-05T00:00:00Z`, also with spaces or slashes; without a zone it is
    UTC). Day-first and month-first dates are not guessed at. Numbers are seconds since 1970, or
    since the recording began; milliseconds, microseconds and nanoseconds are told by their size.
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.to_datetime(column, utc=True)
    counts = numbers(column)
    if counts.notna().mean() > 0.5:
        return _counted_times(counts)
    text = column.astype("str").str.strip()
    # pandas reads "now" and "today" as the moment of reading.
    text = text.mask(text.str.lower().isin(["now", "today"]), "")
    return pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")


def blank(column: pd.Series) -> pd.Series:
    """Which cells hold nothing: null, NaN, or text of spaces only."""
    if pd.api.types.is_numeric_dtype(column.dtype) or column.dtype.kind in "mM":
        return column.isna()
    return column.isna() | (column.astype("str").str.strip() == "")


def _counted_times(counts: pd.Series) -> pd.Series:
    size = float(counts.abs().median())
    microseconds_each = 1e6 if size < 1e11 else 1e3 if size < 1e14 else 1.0 if size < 1e17 else 1e-3
    microseconds = (counts * microseconds_each).round()
    known = microseconds.abs() <= _LAST_MICROSECOND
    stamps = microseconds.where(known, 0).astype("int64").astype("datetime64[us]")
    return stamps.dt.tz_localize("UTC").where(known)
