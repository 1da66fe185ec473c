"""The histogram of calibration errors as shares of a drawing's width and height.

Everything is a percentage, so one SVG fits a phone and a wall display without a script, and its
labels keep their size.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.pages.numbers import short

BINS = 48
FURTHEST = 4.0
"""The drawing ends at this many thresholds at the latest; rows beyond it are counted beside it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Calibration rows with a score from `low` to `high`; the rest in percent of the drawing."""

    low: str
    high: str
    rows: int
    x: float
    width: float
    y: float
    height: float
    beyond: bool
    """Above the threshold."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in percent of the drawing."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """What the template draws; scores run from 0 to `end`, counts on a logarithmic axis."""

    bars: tuple[Bar, ...]
    score_ticks: tuple[Tick, ...]
    count_ticks: tuple[Tick, ...]
    threshold_at: float
    end: float
    rows: int
    rows_above: int
    """Calibration rows above the threshold."""
    rows_outside: int
    """Calibration rows further right than the drawing reaches."""


def draw_histogram(scores: npt.NDArray[np.float64], threshold: float) -> Histogram:
    """Lay out calibration `scores`, shape (n,), with the `threshold` among them.

    Counts are drawn on a logarithmic axis because the rows that matter, those near the threshold,
    are one in a thousand: on a linear axis their bars would have no height.
    """
    largest = float(scores.max())
    end = max(threshold * 1.3, min(largest, threshold * FURTHEST)) * 1.02 or 1.0
    counts, edges = np.histogram(scores, bins=BINS, range=(0.0, end))
    top = math.log10(max(int(counts.max()), 1) * 1.6 * 2)
    bars = tuple(
        _bar(int(rows), float(low), float(high), end, top, threshold)
        for rows, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
        if rows
    )
    powers = range(math.floor(math.log10(max(int(counts.max()), 1))) + 1)
    return Histogram(
        bars=bars,
        score_ticks=tuple(Tick(100 * at / end, short(at)) for at in round_steps(end)),
        count_ticks=tuple(
            Tick(100 * (1 - _height(10**power, top)), f"{10**power:,}") for power in powers
        ),
        threshold_at=100 * threshold / end,
        end=end,
        rows=len(scores),
        rows_above=int(np.sum(scores > threshold)),
        rows_outside=int(np.sum(scores > end)),
    )


def round_steps(end: float, wanted: int = 5) -> list[float]:
    """About `wanted` round numbers from 0 up to `end`."""
    raw = end / wanted
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= raw * 0.999)
    return [step * index for index in range(math.floor(end / step) + 1)]


def _height(rows: int, top: float) -> float:
    """Share of the drawing's height; half a row is its bottom, so that one row can be seen."""
    return math.log10(rows * 2) / top


def _bar(rows: int, low: float, high: float, end: float, top: float, threshold: float) -> Bar:
    height = 100 * _height(rows, top)
    return Bar(
        low=short(low),
        high=short(high),
        rows=rows,
        x=100 * low / end,
        width=100 * (high - low) / end,
        y=100 - height,
        height=height,
        beyond=(low + high) / 2 > threshold,
    )
