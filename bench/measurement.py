"""What can be measured of a method on a case; `bench.detection` runs those that are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.cases import Case, Kind
from bench.fitted import Fitted
from bench.methods import Method
from bench.records import Columns, Record

BoolArray = npt.NDArray[np.bool_]


class Skipped(Exception):
    """A case on which a measurement makes no sense."""


class Measurement(ABC):
    """One question to a method; its results are `FILE.csv` and `FILE.md`."""

    file: ClassVar[str]
    columns: ClassVar[Columns]
    version: ClassVar[int] = 1
    """Counts up when the same detector is measured in another way."""

    def applies(self, method: Method, kind: Kind) -> bool:
        """Whether there is something to measure of `method` on cases of this kind."""
        return True

    @abstractmethod
    def varied(self, method: Method) -> Sequence[str]:
        """The values of the varied column, one row each."""

    @abstractmethod
    def measure(
        self, case: Case, method: Method, seed: int, fitted: Callable[[], Fitted]
    ) -> list[Record]:
        """A row for each value of `varied`: the varied column, numbers, and texts that differ from
        empty. `fitted` gives `method` fitted on `case` with `seed`.

        Raises Skipped for a case on which it makes no sense.
        """

    @abstractmethod
    def summary(self, table: pd.DataFrame, methods: Sequence[str], command: str) -> str:
        """The whole document; `methods` gives the order of rows."""


def alarms(label_B: BoolArray, anomaly_B: BoolArray) -> Record:
    """How many of the normal and of the anomalous windows were judged `anomaly`."""
    false_alarms, normal_rows = int((anomaly_B & ~label_B).sum()), int((~label_B).sum())
    found, anomalous_rows = int((anomaly_B & label_B).sum()), int(label_B.sum())
    return {
        "normal_rows": normal_rows,
        "false_alarms": false_alarms,
        "false_alarm_rate": false_alarms / normal_rows,
        "anomalous_rows": anomalous_rows,
        "found": found,
        "detection_rate": found / anomalous_rows,
    }
