"""Rows between tables and arrays; apart from `stages`, because pandas takes seconds to import."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from kizashi.data.load import FAULT, LABEL
from kizashi.errors import DataError
from kizashi.evaluation.report import LabelledRows
from kizashi.runtime.contract import DataContract
from pipelines.stages import StageFiles, existing


def part_rows(files: StageFiles, name: str) -> npt.NDArray[np.float64]:
    """One part of the split as readings, shape (N, F)."""
    return readings(pd.read_parquet(existing(files.part(name))), files.contract())


def labelled_part(files: StageFiles) -> LabelledRows | None:
    """The validated labelled rows, None where there are none."""
    if not files.labelled.exists():
        return None
    return labelled_rows(pd.read_parquet(files.labelled), files.contract())


def readings(frame: pd.DataFrame, contract: DataContract) -> npt.NDArray[np.float64]:
    """The sensors' columns in the contract's order, shape (N, F).

    Raises DataError when the table has other sensors.
    """
    missing = [name for name in contract.names if name not in frame.columns]
    if missing:
        raise DataError(f"the rows have no sensor '{missing[0]}'; run the stages again: dvc repro")
    return frame[list(contract.names)].to_numpy(dtype=np.float64)


def labelled_rows(frame: pd.DataFrame, contract: DataContract) -> LabelledRows:
    """A validated labelled table as arrays; a table without `fault` names no faults."""
    label_N = frame[LABEL].to_numpy().astype(bool)
    fault_N = (
        frame[FAULT].fillna("").astype(str).to_numpy(dtype=str)
        if FAULT in frame
        else np.where(label_N, "anomaly", "")
    )
    return LabelledRows(readings(frame, contract), label_N, fault_N)
