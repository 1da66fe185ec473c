"""The files that one stage leaves for the next, under `artifacts/`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kizashi.data.load import FAULT, LABEL
from kizashi.errors import DataError
from kizashi.evaluation.report import LabelledRows
from kizashi.runtime.contract import DataContract


@dataclass(frozen=True)
class StageFiles:
    """Paths under one folder; reading a file that no stage has written yet raises DataError."""

    folder: Path

    @property
    def validated(self) -> Path:
        return self.folder / "validated"

    @property
    def split(self) -> Path:
        return self.folder / "split"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    def contract(self) -> DataContract:
        """What `validate` found the sensors to be."""
        return DataContract.from_dict(self._json(self.validated / "contract.json"))

    def report(self) -> dict[str, Any]:
        """What `validate` found in the data."""
        return self._json(self.validated / "report.json")

    def part(self, name: str) -> pd.DataFrame:
        """One part of the split."""
        return self._table(self.split / f"{name}.parquet")

    def normal(self) -> pd.DataFrame:
        """Validated normal rows."""
        return self._table(self.validated / "normal.parquet")

    def labelled(self, contract: DataContract) -> LabelledRows | None:
        """Validated labelled rows, None where there are none."""
        path = self.validated / "labelled.parquet"
        return labelled_rows(pd.read_parquet(path), contract) if path.exists() else None

    @staticmethod
    def _table(path: Path) -> pd.DataFrame:
        if not path.exists():
            raise DataError(f"{path} does not exist; run the stages before this one: dvc repro")
        return pd.read_parquet(path)

    @staticmethod
    def _json(path: Path) -> dict[str, Any]:
        if not path.exists():
            raise DataError(f"{path} does not exist; run the stages before this one: dvc repro")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content


def readings(frame: pd.DataFrame, contract: DataContract) -> npt.NDArray[np.float64]:
    """The sensors' columns in the contract's order, shape (N, F)."""
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


def write_json(path: Path, content: Any) -> None:
    """JSON as people read it, ending in a newline."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
