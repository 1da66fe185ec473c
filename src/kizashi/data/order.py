"""Which rows stand in the order of time, and what is wrong with those that do not."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TimeOrder:
    """The verdict on a column of times; every field holds row places that count from 0.

    `kept` rows rise strictly. A row in `repeated` has the time of a kept row, one in `misplaced`
    stands before or after rows that it should not; `partner` (for both, in their order) is the
    kept row that shows it.
    """

    kept: Places
    repeated: Places
    repeated_partner: Places
    misplaced: Places
    misplaced_partner: Places


def time_order(times_N: npt.NDArray[np.int64], places_N: Places) -> TimeOrder:
    """Set aside as few rows as possible so that the times of the rest rise strictly.

    `times_N` are the times of the rows at `places_N`. Fewest rows, so that one clock error, a year
    too late say, costs one row and not every row after it. Of two rows with one time the first
    stays; of two rows either of which could go, the one whose time goes back does.
    """
    keep = _longest_rise(times_N)
    kept_times, rest = times_N[keep], np.delete(np.arange(len(times_N)), keep)
    after = np.searchsorted(kept_times, times_N[rest])
    inside = np.minimum(after, max(len(keep) - 1, 0))
    same = kept_times[inside] == times_N[rest]
    # A misplaced row is out of order with its neighbour: the kept row before it if that is later,
    # else the kept row after it.
    neighbour = np.searchsorted(keep, rest) - 1
    before = np.maximum(neighbour, 0)
    late = (neighbour >= 0) & (kept_times[before] >= times_N[rest])
    partner = np.where(late, before, np.minimum(neighbour + 1, max(len(keep) - 1, 0)))
    return TimeOrder(
        kept=places_N[keep],
        repeated=places_N[rest[same]],
        repeated_partner=places_N[keep[inside[same]]],
        misplaced=places_N[rest[~same]],
        misplaced_partner=places_N[keep[partner[~same]]],
    )


def _longest_rise(times_N: npt.NDArray[np.int64]) -> Places:
    """Indices of a longest strictly rising subsequence (patience sorting, Fredman 1975).

    Read from the end, so that ties are settled for the earlier row.
    """
    if (np.diff(times_N) > 0).all():
        return np.arange(len(times_N))
    falling = (-times_N[::-1]).tolist()
    tails: list[int] = []  # the least last value of a rise of each length ...
    ends: list[int] = []  # ... and where it stands
    previous: list[int] = []
    for index, value in enumerate(falling):
        length = bisect_left(tails, value)
        previous.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(value)
            ends.append(index)
        else:
            tails[length] = value
            ends[length] = index
    rise = []
    index = ends[-1]
    while index >= 0:
        rise.append(len(falling) - 1 - index)
        index = previous[index]
    return np.array(rise, dtype=np.int64)
