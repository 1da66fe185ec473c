"""Where normal and labelled rows come from, and which sensors they hold; see `conf/data/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from kizashi.data.load import data_contract, find_timestamp, listed, read_table
from kizashi.data.stretches import AUTO, require_max_step
from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import DataContract

FIND = "auto"
"""As the timestamp: the column `timestamp`, else the first that holds dates and times, if any."""


@dataclass(frozen=True)
class DataSource:
    """The normal rows at `path`, and labelled ones where that file exists.

    `sensors` None takes every column but the timestamp as a sensor. `max_bad_share` is the share of
    rows that may be bad before a run stops. A step of time above `max_step` seconds is a pause,
    over which no window reaches; AUTO is a multiple of the usual step, and None means that none is.
    `missing` and `max_missing_share` are what the detector does about missing values once it
    serves, as `DataContract` has them; rows to learn from are always whole. Raises
    ConfigurationError for a share outside 0 to 1, and for a step that is none.
    """

    path: str
    labelled: str | None = None
    timestamp: str | None = FIND
    sensors: Sequence[Mapping[str, Any]] | None = None
    max_bad_share: float = 0.01
    max_step: float | str | None = AUTO
    missing: str = "impute"
    max_missing_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad_share <= 1:
            raise ConfigurationError(
                f"max_bad_share is {self.max_bad_share}; a share from 0 to 1 is needed"
            )
        require_max_step(self.max_step)

    def normal(self) -> pd.DataFrame:
        """The table of normal rows as it is; raises DataError when it cannot be read."""
        return read_table(self.path)

    def labelled_rows(self) -> pd.DataFrame | None:
        """The labelled table as it is, None when there is none."""
        if self.labelled is None or not Path(self.labelled).exists():
            return None
        return read_table(self.labelled)

    def time_column(self, frame: pd.DataFrame) -> str | None:
        """The name of the timestamp column of `frame`, None when rows have no time."""
        return find_timestamp(frame) if self.timestamp == FIND else self.timestamp

    def contract(self, frame: pd.DataFrame, window_length: int) -> DataContract:
        """The sensors of `frame`, as configured or inferred.

        Raises DataError where sensors are inferred and the column of times is not there, since
        whichever column holds them would be taken for a sensor.
        """
        time = self.time_column(frame)
        if self.sensors is None and time is not None and time not in frame.columns:
            raise DataError(
                f"data.timestamp is '{time}', and '{self.path}' has the columns "
                f"{listed(frame.columns)}; one of them, auto or null is needed"
            )
        contract = data_contract(frame, self.sensors, time, window_length)
        return replace(contract, missing=self.missing, max_missing_share=self.max_missing_share)
