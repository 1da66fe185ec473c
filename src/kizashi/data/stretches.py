"""Which rows follow one another, and where a pause parts them.

The rows of a table are numbered by stretch. A new stretch begins after a pause, that is a step of
time longer than the longest one allowed, and after a row that was left out from between its
neighbours: in neither place has a machine sent the one row right after the other.
"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from kizashi.errors import ConfigurationError

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
MaxStep = float | str | None
"""Seconds, AUTO, or None where no step is a pause."""

AUTO = "auto"
STRETCH = "(stretch)"
"""The column with the number of each row's stretch, which no CSV file calls a sensor."""
USUAL_STEPS = 10
"""How many times the median step is a pause. A row or two that got lost are none, since a service
meets such windows too, nor are the uneven steps of a machine that sends when something happens: if
they come at random, one in a thousand is as long. Nights, breaks and repairs are far longer."""


def require_max_step(max_step: MaxStep) -> None:
    """Raise ConfigurationError for what is no longest step."""
    if max_step is None or max_step == AUTO:
        return
    if isinstance(max_step, str | bool) or not 0 < max_step < math.inf:
        raise ConfigurationError(
            f"max_step is {max_step!r}; a number of seconds above 0, auto or null is needed"
        )


def longest_step(stamps: pd.Series, max_step: MaxStep) -> float:
    """The seconds above which a step between two of these times is a pause; infinite for none.

    AUTO is USUAL_STEPS times the median of the steps that go forward.
    """
    if max_step is None:
        return math.inf
    if isinstance(max_step, float | int):
        return float(max_step)
    steps = stamps.diff().dt.total_seconds()
    usual = float(steps[steps > 0].median())
    return math.inf if math.isnan(usual) else USUAL_STEPS * usual


def after_pause(stamps: pd.Series, longest: float) -> Flags:
    """Which rows come after a pause; never the first, nor one next to an unknown time."""
    after_N: Flags = (stamps.diff().dt.total_seconds() > longest).to_numpy(dtype=bool)
    return after_N


def stretches(begins_N: Flags) -> Numbers:
    """The number of the stretch of each row, from 0, where these rows begin one."""
    return np.cumsum(np.append(False, begins_N[1:])).astype(np.int64)[: len(begins_N)]
