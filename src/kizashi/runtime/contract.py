"""The data contract: which sensors a row has, in which order and unit, and what a valid row is."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self, TypeGuard

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError, InvalidRow, Problem

SHOWN_CHARACTERS = 60
MOST_PROBLEMS = 100
MISSING = ("impute", "reject")
NUMBERS = frozenset({int, float})  # not bool, which is an int only to Python
_ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996


def shown(value: object) -> str:
    """A value as an error quotes it: short, whatever was sent, and in JSON's words."""
    if isinstance(value, list | dict):  # may be large, and nested more deeply than can be printed
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    try:
        text = _written(value)
    except ValueError:  # Python prints no integer of more than 4300 digits
        text = "an integer too long to show"
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _written(value: object) -> str:
    if isinstance(value, str):
        return repr(value[: SHOWN_CHARACTERS + 1])
    return json.dumps(value) if value is None or isinstance(value, bool | float) else str(value)


@dataclass(frozen=True, slots=True)
class Sensor:
    """One measured channel.

    `low` and `high` are the limits of the instrument, in `unit`: a reading beyond them is scored,
    flagged, and always an anomaly. None means no limit is known.
    """

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not str(self.name).strip():
            raise ConfigurationError(f"a sensor's name is {self.name!r}; a text is needed")
        for side in ("low", "high"):
            limit = getattr(self, side)
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if limit is not None and (not number or math.isnan(limit)):
                raise ConfigurationError(
                    f"sensor '{self.name}': {side} is {limit!r}; a number or null is needed"
                )
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ConfigurationError(
                f"sensor '{self.name}': low is {self.low} and high is {self.high}; "
                "low must be below high"
            )

    @property
    def wanted(self) -> str:
        """What a reading of this sensor must be, as errors say it."""
        return f"a number in {self.unit} is needed" if self.unit else "a number is needed"


@dataclass(frozen=True)
class DataContract:
    """The sensors of one detector, in the order of its inputs, and the rows in one window.

    `missing` says what becomes of values that are missing (null, an empty cell): `impute` fills
    them in and scores the window, as long as no more than `max_missing_share` of its values are
    missing and at least one is there; `reject` refuses them as any other value that is no number.
    """

    sensors: tuple[Sensor, ...]
    window_length: int = 1
    missing: str = "impute"
    max_missing_share: float = 0.5

    def __post_init__(self) -> None:
        if not self.sensors:
            raise ConfigurationError("the data contract names no sensor; at least one is needed")
        names = [sensor.name for sensor in self.sensors]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"the data contract names sensor '{twice[0]}' twice")
        if type(self.window_length) is not int or self.window_length < 1:
            raise ConfigurationError(
                f"window length is {self.window_length!r}; a whole number from 1 is needed"
            )

        if self.missing not in MISSING:
            raise ConfigurationError(
                f"missing is {self.missing!r}; one of {', '.join(MISSING)} is needed"
            )
        share = self.max_missing_share
        if isinstance(share, bool) or not 0 <= share < 1:
            raise ConfigurationError(
                f"max_missing_share is {share!r}; a share from 0 to below 1 is needed"
            )

    @cached_property
    def most_missing(self) -> int:
        """How many values of a window may be missing: 0 where a value that is missing is refused,
        also because a single one is all there is."""
        values = self.window_length * len(self.sensors)
        share = self.max_missing_share if self.missing == "impute" else 0.0
        return min(int(share * values + _ROUNDING), values - 1)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Sensor names in the order of the detector's inputs."""
        return tuple(sensor.name for sensor in self.sensors)

    def row(self, values: object, number: int | None = None) -> npt.NDArray[np.float64]:
        """Turn one row as it was sent, a list or an object keyed by sensor name, into shape (F,).

        None is a missing value, NaN in the result, where the contract allows one. `number` is the
        row's place in what was sent, for the error's text. Raises InvalidRow with one problem for
        each thing that is wrong.
        """
        numbers_1F = self._numbers((values,))
        if numbers_1F is not None:
            return numbers_1F.reshape(-1)
        where = "" if number is None else f"row {number}: "
        if isinstance(values, Mapping):
            problems = self._wrong_names(values, where, number)
            cells = [(at, values[name]) for at, name in enumerate(self.names) if name in values]
        else:
            given, problems = self._cells_in_order(values, where, number)
            cells = list(enumerate(given))
        row_F, missing = np.empty(len(self.sensors)), 0
        for index, cell in cells:
            sensor = self.sensors[index]
            reading = _reading(cell)
            if reading is not None:
                row_F[index] = reading
            elif cell is None and self.most_missing:
                row_F[index] = np.nan
                missing += 1
            else:
                detail = f"{where}sensor '{sensor.name}' is {shown(cell)}; {sensor.wanted}"
                problems.append(Problem(detail, sensor.name, number))
        if missing > self.most_missing and self.window_length == 1:
            problems.append(self._too_many(missing, number))
        if problems:
            raise InvalidRow(problems)
        return row_F

    def window(self, values: object) -> npt.NDArray[np.float64]:
        """Turn one request's values into one window, shape (T, F).

        A single row may stand for a window of one. Raises InvalidRow.
        """
        if isinstance(values, list) and values and isinstance(values[0], list):
            window_TF = self._numbers(values)
        else:
            window_TF = self._numbers((values,))
        if window_TF is not None and len(window_TF) == self.window_length:
            return window_TF
        cells = values if _is_list(values) else ()
        count = sum(map(_is_row, cells))
        # One row with a list among its cells is still one row: it is the cell that is wrong.
        nested = count > 0 and (count == len(cells) or self.window_length > 1)
        if nested and count < len(cells):
            self.rows(cells[: self.window_length])  # raises, naming what is no row
        rows = cells if nested else [values]
        if len(rows) != self.window_length:
            detail = (
                f"{len(rows)} row{'' if len(rows) == 1 else 's'} of values came; this model judges "
                f"windows of {self.window_length} row{'' if self.window_length == 1 else 's'}"
            )
            raise InvalidRow([Problem(detail)])
        if not nested:
            return self.row(values)[None, :]
        window_TF = self.rows(rows)
        missing = int(np.count_nonzero(np.isnan(window_TF)))
        if missing > self.most_missing:
            raise InvalidRow([self._too_many(missing, None)])
        return window_TF

    def rows(self, rows: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Turn many rows into shape (N, F); raises InvalidRow with the problems of all of them."""
        numbers_NF = self._numbers(rows)
        if numbers_NF is not None:
            return numbers_NF
        rows_NF = np.empty((len(rows), len(self.sensors)))
        problems: list[Problem] = []
        for number, values in enumerate(rows):
            try:
                rows_NF[number] = self.row(values, number)
            except InvalidRow as error:
                problems.extend(error.problems)
        if problems:
            raise InvalidRow(problems)
        return rows_NF

    def _numbers(self, rows: Sequence[object]) -> npt.NDArray[np.float64] | None:
        """Rows in which nothing is missing or wrong, as shape (N, F): lists of finite numbers, as
        nearly all are. None for others, which are looked at value by value."""
        sensors = len(self.sensors)
        for row in rows:
            if not isinstance(row, list) or len(row) != sensors:
                return None
            if not NUMBERS.issuperset(map(type, row)):
                return None
        try:
            rows_NF = np.array(rows, dtype=np.float64).reshape(len(rows), sensors)
        except OverflowError:  # a whole number beyond what is finite
            return None
        return rows_NF if np.count_nonzero(np.isfinite(rows_NF)) == rows_NF.size else None

    def require_present(self, rows_NF: npt.NDArray[np.float64]) -> None:
        """Raise InvalidRow, with a problem for each of the first MOST_PROBLEMS, where a window of
        consecutive rows (N, F) has more missing values (NaN) than are allowed."""
        missing_N = self.missing_before(rows_NF)
        missing_N[: self.window_length - 1] = 0  # no window ends there
        rows = np.flatnonzero(missing_N > self.most_missing)[:MOST_PROBLEMS].tolist()
        if rows:
            raise InvalidRow([self._too_many(int(missing_N[row]), row) for row in rows])

    def missing_before(self, rows_NF: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        """How many values are missing in the window that ends at each row, shape (N,); before the
        first whole window, in the rows there are."""
        total_N = np.cumsum(np.count_nonzero(np.isnan(rows_NF), axis=1))
        total_N[self.window_length :] -= total_N[: -self.window_length].copy()
        return total_N

    def too_many_missing(self, missing: int, of_a_row: bool = True) -> str:
        """What errors say of a window, or of the row that ends it, with so many missing values."""
        values = self.window_length * len(self.sensors)
        inside = " in its window" if of_a_row and self.window_length > 1 else ""
        return (
            f"{missing} of {values} values{inside} {'is' if missing == 1 else 'are'} missing; "
            f"at most {self.most_missing} may be"
        )

    def _too_many(self, missing: int, number: int | None) -> Problem:
        where = "" if number is None else f"row {number}: "
        return Problem(where + self.too_many_missing(missing, number is not None), None, number)

    def out_of_range(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which readings lie beyond their instrument's limits; the last axis is the sensors."""
        low_F, high_F = self._limits
        beyond: npt.NDArray[np.bool_] = (rows < low_F) | (rows > high_F)
        return beyond

    def any_out_of_range(self, window_TF: npt.NDArray[np.float64]) -> bool:
        """Whether `out_of_range` marks any reading of a window, in less time for a few."""
        low_F, high_F = self._limits
        if len(window_TF) == 1:
            window_TF = window_TF[0]  # NumPy takes half of the time for arrays of one shape
        return bool(np.count_nonzero(window_TF < low_F) or np.count_nonzero(window_TF > high_F))

    @cached_property
    def _limits(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        low = [-np.inf if sensor.low is None else sensor.low for sensor in self.sensors]
        high = [np.inf if sensor.high is None else sensor.high for sensor in self.sensors]
        return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        return {
            "sensors": [asdict(sensor) for sensor in self.sensors],
            "window_length": self.window_length,
            "missing": self.missing,
            "max_missing_share": self.max_missing_share,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        sensors = tuple(Sensor(**sensor) for sensor in stored["sensors"])
        return cls(
            sensors,
            stored.get("window_length", 1),
            stored.get("missing", "impute"),
            stored.get("max_missing_share", 0.5),
        )

    def _cells_in_order(
        self, values: object, where: str, number: int | None
    ) -> tuple[Sequence[object], list[Problem]]:
        if not _is_list(values):
            detail = f"{where}values is {shown(values)}; a list of {self._expected} is needed"
            return [], [Problem(detail, None, number)]
        if len(values) != len(self.sensors):
            count = f"{len(values)} value{'' if len(values) == 1 else 's'} came"
            detail = f"{where}{count}; {self._expected} needed"
            return [], [Problem(detail, None, number)]
        return values, []

    def _wrong_names(
        self, values: Mapping[Any, object], where: str, number: int | None
    ) -> list[Problem]:
        problems = [
            Problem(f"{where}sensor '{name}' is missing; {sensor.wanted}", name, number)
            for name, sensor in zip(self.names, self.sensors, strict=True)
            if name not in values
        ]
        problems += [
            Problem(
                f"{where}sensor {shown(str(name))} is unknown; {self._expected} needed",
                str(name),
                number,
            )
            for name in values
            if name not in self.names
        ]
        return problems

    @property
    def _expected(self) -> str:
        count = len(self.sensors)
        names = ", ".join(self.names[:20]) + (", …" if count > 20 else "")
        return f"{count} value{'' if count == 1 else 's'} ({names})"


def _is_list(values: object) -> TypeGuard[Sequence[object]]:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _is_row(value: object) -> bool:
    return _is_list(value) or isinstance(value, Mapping)


def _reading(cell: object) -> float | None:
    """A cell as a finite float; None when it is not a number (a boolean is not one)."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    try:
        reading = float(cell)
    except OverflowError:
        return None
    return reading if math.isfinite(reading) else None
