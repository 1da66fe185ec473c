"""The bundle as an MLflow pyfunc: loaded by module name, never by pickle.

`mlflow.pyfunc.load_model("models:/kizashi@production")` and `mlflow models serve` end here.
"""

import numbers
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from kizashi.errors import DataError
from kizashi.runtime.bundle import load_bundle
from kizashi.runtime.contract import shown
from kizashi.runtime.detector import Detector


class DetectorModel:
    """Judges a table of rows; a windowed detector judges each row with those before it."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(
        self, model_input: pd.DataFrame | npt.ArrayLike, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One `score` and `status` a row; rows before the first whole window have neither.

        A table's columns are matched by sensor name. NaN and null are missing values, which are
        filled in as far as the data contract allows. Raises DataError for a missing column or a
        value that is not a finite number (a number written as text is none, as in the service), and
        InvalidRow where more values are missing than may be.
        """
        rows_NF = self._rows(model_input)
        score_N = np.full(len(rows_NF), np.nan)
        status_N = np.full(len(rows_NF), None, dtype=object)
        first = self.detector.contract.window_length - 1
        if len(rows_NF) > first:
            windows_BTF = self.detector.windows(rows_NF)
            score_N[first:] = self.detector.score(windows_BTF)
            anomaly_B = self.detector.decide(windows_BTF, score_N[first:])
            status_N[first:] = np.where(anomaly_B, "anomaly", "normal")
        return pd.DataFrame({"score": score_N, "status": status_N})

    def _rows(self, model_input: pd.DataFrame | npt.ArrayLike) -> npt.NDArray[np.float64]:
        names = list(self.detector.contract.names)
        if not isinstance(model_input, pd.DataFrame):
            model_input = pd.DataFrame(self._array(model_input), columns=names)
        missing = [name for name in names if name not in model_input.columns]
        if missing:
            raise DataError(f"sensor '{missing[0]}' is missing; columns needed: {', '.join(names)}")
        for name in names:
            _require_numbers(name, model_input[name])
        try:
            # Column by column: what is pd.NA in one of objects is only found there.
            columns = [model_input[name].to_numpy(np.float64, na_value=np.nan) for name in names]
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"a value is not a number: {error}") from error
        rows_NF = np.column_stack(columns)
        may_be_missing = self.detector.contract.most_missing > 0
        unusable_NF = np.isinf(rows_NF) if may_be_missing else ~np.isfinite(rows_NF)
        row, column = (index[:1] for index in np.nonzero(unusable_NF))
        if len(row):
            cell = shown(rows_NF[row[0], column[0]])
            raise DataError(
                f"row {row[0]}: sensor '{names[column[0]]}' is {cell}; a finite number is needed"
            )
        self.detector.contract.require_present(rows_NF)
        return rows_NF

    def _array(self, model_input: npt.ArrayLike) -> npt.NDArray[Any]:
        names, array = self.detector.contract.names, np.atleast_2d(np.asarray(model_input))
        if array.ndim > 2:
            raise DataError(
                f"an array with {array.ndim} axes came; rows of {len(names)} values are needed"
            )
        if array.shape[1] != len(names):
            raise DataError(
                f"{array.shape[1]} values came; {len(names)} values ({', '.join(names)}) needed"
            )
        return array


def _require_numbers(name: str, column: pd.Series) -> None:
    """Raise DataError for the first cell that is neither a number nor missing."""
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return
    for row, cell in enumerate(column):
        number = isinstance(cell, numbers.Real | Decimal) and not isinstance(cell, bool | np.bool_)
        if not (number or cell is None or cell is pd.NA):
            raise DataError(
                f"row {row}: sensor '{name}' is {shown(cell)}; a finite number is needed"
            )


def _load_pyfunc(data_path: str) -> DetectorModel:
    """What MLflow calls to load the model (its name is MLflow's)."""
    return DetectorModel(load_bundle(Path(data_path)).detector)
