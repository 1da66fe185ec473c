"""The false alarm rate that a rule is asked for, as a share of rows or as alarms a day."""

import math

from kizashi.errors import ConfigurationError
from kizashi.runtime.thresholds.rule import Threshold

SECONDS_PER_DAY = 86_400
DEFAULT_ALPHA = 0.001
"""One row in a thousand: the false alarm rate where no other is asked for."""


class RateThreshold(Threshold):
    """A rule that aims at a false alarm rate.

    The target is `alpha`, or `alarms_per_day` at one row every `sampling_period` seconds, never
    both; without either it is DEFAULT_ALPHA. Raises ConfigurationError for a target that is no
    rate, for two targets, and for half of one.
    """

    def __init__(
        self,
        alpha: float | None = None,
        alarms_per_day: float | None = None,
        sampling_period: float | None = None,
    ) -> None:
        super().__init__()
        if alarms_per_day is not None or sampling_period is not None:
            if alpha is not None:
                raise ConfigurationError(
                    f"alpha is {alpha!r} beside alarms_per_day {alarms_per_day!r} and "
                    f"sampling_period {sampling_period!r}; one target is needed"
                )
            alpha = _share(alarms_per_day, sampling_period)
        self.alpha = DEFAULT_ALPHA if alpha is None else alpha
        if not 0 < self.alpha < 1:
            raise ConfigurationError(
                f"the false alarm rate alpha is {alpha!r}; a number between 0 and 1 is needed"
            )
        self.false_alarm_rate = self.alpha
        self.settings = {"alpha": self.alpha}


def _share(alarms_per_day: float | None, sampling_period: float | None) -> float:
    """The share of rows that `alarms_per_day` are."""
    if sampling_period is None or not 0 < sampling_period < math.inf:
        raise ConfigurationError(
            f"sampling_period is {sampling_period!r}; alarms_per_day needs the seconds "
            "between two rows, above 0"
        )
    if alarms_per_day is None:
        raise ConfigurationError(
            "alarms_per_day is None; sampling_period needs the alarms a day that are accepted"
        )
    rows_per_day = SECONDS_PER_DAY / sampling_period
    if not 0 < alarms_per_day < rows_per_day:
        raise ConfigurationError(
            f"alarms_per_day is {alarms_per_day!r}; with one row every {sampling_period:g} s a "
            f"number above 0 and below {rows_per_day:g}, the rows of a day, is needed"
        )
    return alarms_per_day * sampling_period / SECONDS_PER_DAY
