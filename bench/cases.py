"""Cases: folders with `train.parquet` (normal rows only) and `test.parquet` (the same columns and
`label`, 1 for an anomaly). A column `timestamp` makes a case a series: its rows are in order, and
the test rows follow the training rows. Without it rows are exchangeable."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from kizashi.data.cells import times
from kizashi.data.load import LABEL, infer_contract, read_table
from kizashi.data.stretches import AUTO, after_pause, longest_step, stretches
from kizashi.errors import DataError
from kizashi.runtime.contract import DataContract
from kizashi.runtime.windows import Rows, sliding_windows
from kizashi.training.fit import NormalRows
from pipelines.rows import readings

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Kind = Literal["exchangeable", "series"]
Split = Callable[[pd.DataFrame, int], dict[str, pd.DataFrame]]

TRAIN, TEST, TIMESTAMP = "train.parquet", "test.parquet", "timestamp"


@dataclass(frozen=True)
class CaseFolder:
    """Where a case lies; `suite` is the first folder level below the folder that was searched."""

    suite: str
    name: str
    folder: Path

    @property
    def kind(self) -> Kind:
        names = pq.read_schema(self.folder / TRAIN).names
        return "series" if TIMESTAMP in names else "exchangeable"

    def digest(self) -> str:
        """A hash of both files: results of other data are not results of this case."""
        both = b"".join(hashlib.sha256((self.folder / n).read_bytes()).digest() for n in FILES)
        return hashlib.sha256(both).hexdigest()[:12]

    def read(self) -> "Case":
        """Raises DataError when the files are no case."""
        train, test = (read_table(self.folder / name) for name in FILES)
        timestamp = TIMESTAMP if self.kind == "series" else None
        contract = infer_contract(train, timestamp)
        missing = sorted({LABEL, *contract.names} - set(test.columns))
        if missing:
            raise DataError(f"case '{self.folder}': {TEST} has no column '{missing[0]}'")
        label_N = test[LABEL].to_numpy().astype(bool)
        if label_N.all() or not label_N.any():
            raise DataError(f"case '{self.folder}': {TEST} has rows of one label only")
        rows = Rows(readings(train, contract), _stretches(train))
        return Case(self, self.kind, contract, rows, readings(test, contract), label_N)


FILES = (TRAIN, TEST)


@dataclass(frozen=True)
class Case:
    """The rows of a case, shapes (N, F), and which of the test rows are anomalies."""

    folder: CaseFolder
    kind: Kind
    contract: DataContract
    """Sensors without limits: no verdict comes from anything but the score."""
    train: Rows
    test_NF: FloatArray
    label_N: BoolArray

    @property
    def train_NF(self) -> FloatArray:
        return self.train.values_NF

    def normal_rows(self, split: Split, window_length: int) -> NormalRows:
        """The training rows as `split` parts them.

        Nothing is measured on its holdout, because that is what the test rows are for: those rows
        are given to calibration, which they follow in time. Where calibration has no share, every
        row is for training. Raises DataError for too few rows.
        """
        places = split(pd.DataFrame({"place": np.arange(len(self.train))}), window_length)
        train, validation, calibration, holdout = (
            places[name]["place"].to_numpy()
            for name in ("train", "validation", "calibration", "holdout")
        )
        in_time = self.kind == "series"
        if not len(calibration):
            none = self.train[:0]
            return NormalRows(self.train, none, none, in_time=in_time)
        if in_time:
            calibration = np.arange(calibration[0], holdout[-1] + 1)  # with the gap between them
        else:
            calibration = np.sort(np.concatenate([calibration, holdout]))
        parts = (self.train.at(part) for part in (train, validation, calibration))
        return NormalRows(*parts, in_time=in_time)

    def test_windows(self, window_length: int) -> FloatArray:
        """One window for each test row, shape (N, T, F), ending at that row.

        The first ones reach back into the training rows, which come right before. Each row has a
        label and is judged, so windows reach over pauses here.
        """
        before_NF = self.train_NF[len(self.train_NF) - window_length + 1 :]
        rows_NF = np.concatenate([before_NF, self.test_NF])
        return np.asarray(sliding_windows(rows_NF, window_length))


def _stretches(frame: pd.DataFrame) -> IntArray | None:
    """The stretch of each row of a series; rows without a time are one."""
    if TIMESTAMP not in frame:
        return None
    stamps = times(frame[TIMESTAMP])
    return stretches(after_pause(stamps, longest_step(stamps, AUTO)))


def find_cases(root: Path) -> list[CaseFolder]:
    """Every case in and below `root`, sorted; raises DataError when there is none."""
    if not root.is_dir():
        raise DataError(f"data folder '{root}' does not exist")
    found = sorted(train.parent for train in root.rglob(TRAIN) if (train.parent / TEST).is_file())
    if not found:
        raise DataError(f"no folder below '{root}' has both {TRAIN} and {TEST}")
    return [_named(root.resolve(), folder.resolve()) for folder in found]


def _named(root: Path, folder: Path) -> CaseFolder:
    """A case right below `root` belongs to the suite that `root` is named after."""
    parts = folder.relative_to(root).parts
    if len(parts) > 1:
        return CaseFolder(parts[0], "/".join(parts[1:]), folder)
    return CaseFolder(folder.parent.name, folder.name, folder)
