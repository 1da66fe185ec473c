"""Rows to train, validation, calibration and holdout: four disjoint parts, each with one purpose.

`train` fits the network, `validation` stops it early, `calibration` turns scores into p-values and
a threshold, `holdout` measures what the threshold promised. Training can do without the second, and
cross-fitting without the third: those parts may be empty.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np
import pandas as pd

from kizashi.errors import ConfigurationError, DataError

PARTS = ("train", "validation", "calibration", "holdout")
MAY_BE_EMPTY = ("validation", "calibration")
LEAST_WINDOWS = 2
"""The fewest windows that each part with a share must have: one has no spread."""
KEPT_OF_TRAIN = 0.8
"""Of its share, where the other parts would be too small without its rows."""
_ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996


@dataclass(frozen=True)
class ChronologicalSplit:
    """Consecutive parts in the order of time, never shuffled across it.

    The four shares sum to 1 and are each above 0; those of `validation` and `calibration` may be 0,
    which leaves these parts empty. Between two parts `gap` rows, and never fewer than one window,
    belong to neither: rows close in time resemble each other, and a part that began right after
    another would look better than it is.
    """

    in_time: ClassVar[bool] = True
    """Rows of a part follow one another, so that one may depend on the one before it."""

    train: float = 0.6
    validation: float = 0.1
    calibration: float = 0.2
    holdout: float = 0.1
    gap: int = 0

    def __post_init__(self) -> None:
        _check_shares(_shares(self))
        if self.gap < 0:
            raise ConfigurationError(
                f"gap is {self.gap!r}; a whole number of rows from 0 is needed"
            )

    def __call__(self, frame: pd.DataFrame, window_length: int = 1) -> dict[str, pd.DataFrame]:
        """The parts of `frame` by name, rows in order and counted from 0 again.

        Raises DataError when there are too few rows, saying how many are needed.
        """
        gap = max(self.gap, window_length)
        sizes = _sizes(_shares(self), len(frame), gap, window_length)
        parts, start = {}, 0
        for name, size in sizes.items():
            parts[name] = frame.iloc[start : start + size].reset_index(drop=True)
            start += size + gap if size else 0
        return parts


@dataclass(frozen=True)
class RandomSplit:
    """Parts drawn at random, for rows that have no order (one row per workpiece, say).

    The four shares sum to 1 and are each above 0; those of `validation` and `calibration` may be 0.
    Rows keep the file's order within a part. Measurements over time must not be split like this:
    neighbouring rows would land in different parts, and holdout would repeat what the network has
    seen.
    """

    in_time: ClassVar[bool] = False
    """Rows of a part are a random draw: none follows another."""

    train: float = 0.6
    validation: float = 0.1
    calibration: float = 0.2
    holdout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_shares(_shares(self))
        if self.seed < 0:
            raise ConfigurationError(f"seed is {self.seed!r}; a whole number from 0 is needed")

    def __call__(self, frame: pd.DataFrame, window_length: int = 1) -> dict[str, pd.DataFrame]:
        """The parts of `frame` by name, rows counted from 0 again.

        Raises ConfigurationError for windows of more than one row, and DataError when there are
        too few rows, saying how many are needed.
        """
        if window_length > 1:
            raise ConfigurationError(
                f"window length is {window_length} and the split is random; windows need rows in "
                "order: use the chronological split"
            )
        sizes = _sizes(_shares(self), len(frame), 0, window_length)
        order = np.random.default_rng(self.seed).permutation(len(frame))
        ends = np.cumsum(list(sizes.values()))[:-1]
        return {
            name: frame.iloc[np.sort(places)].reset_index(drop=True)
            for name, places in zip(sizes, np.split(order, ends), strict=True)
        }


def _shares(split: ChronologicalSplit | RandomSplit) -> dict[str, float]:
    return {name: getattr(split, name) for name in PARTS}


def _check_shares(shares: Mapping[str, float]) -> None:
    for name, share in shares.items():
        if share == 0 and name in MAY_BE_EMPTY:
            continue
        if not 0 < share < 1:
            least = "from 0" if name in MAY_BE_EMPTY else "above 0"
            raise ConfigurationError(
                f"{name} is {share!r}; a share of the rows {least} and below 1 is needed"
            )
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        listed = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ConfigurationError(f"the shares {listed} sum to {total:g}; they must sum to 1")


def _sizes(shares: Mapping[str, float], rows: int, gap: int, window_length: int) -> dict[str, int]:
    """Rows of each part, none where its share is 0; what rounding leaves over goes to train.

    A part whose share is less than the least that it must have gets that, at the cost of train, as
    long as train keeps KEPT_OF_TRAIN of its own.
    """
    present = [name for name, share in shares.items() if share > 0]
    least, gaps = window_length + LEAST_WINDOWS - 1, gap * (len(present) - 1)
    sizes = _shared_out(shares, rows - gaps, least)
    if sizes is None:
        needed = next(more for more in count(rows + 1) if _shared_out(shares, more - gaps, least))
        between = f" with gaps of {gap} rows between them" if gap else ""
        raise DataError(
            f"{rows} rows are too few to split into {', '.join(present)}{between}; "
            f"at least {needed} are needed"
        )
    return sizes


def _shared_out(shares: Mapping[str, float], rows: int, least: int) -> dict[str, int] | None:
    """None where rows are too few."""
    sizes = {
        name: max(least, math.floor(share * rows + _ROUNDING)) if share else 0
        for name, share in shares.items()
    }
    sizes["train"] += rows - sum(sizes.values())
    enough = max(least, KEPT_OF_TRAIN * math.floor(shares["train"] * rows + _ROUNDING))
    return sizes if sizes["train"] >= enough else None
