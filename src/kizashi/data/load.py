"""Tables as people have them, CSV or Parquet, and the data contract that a table implies.

A CSV file is read as text: what a cell says is kept exactly, so that a bad one can be quoted.
"""

import codecs
import csv
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from kizashi.data.cells import blank, numbers, times
from kizashi.data.stretches import STRETCH
from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import DataContract, Sensor

LABEL = "label"
FAULT = "fault"
TIMESTAMP = "timestamp"
SURPLUS = "(beyond the header)"
"""Column that `read_table` adds when a row has more cells than the header has names."""
UNNAMED = "Unnamed: "

logger = logging.getLogger(__name__)

ENCODINGS = ("utf-8-sig", "cp932")  # Excel in Japan saves CSV as cp932
_SEPARATORS = (",", ";", "\t")
_SWITCHED = {"true", "false", "on", "off", "yes", "no"}
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV or Parquet file; CSV cells stay text.

    CSV is UTF-8, UTF-16 or else cp932, its separator a comma, semicolon or tab. Blank lines between
    rows count, so that row N of the table is the Nth line after the header. Raises DataError when
    the file is missing, unreadable or has no header.
    """
    path = Path(path)
    require_file(path)
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"data file '{path}' is '{path.suffix}'; a .csv or .parquet file is needed")
    frame = reader(path)
    names = [str(name) for name in frame.columns]
    require_distinct(names, path)
    return frame.set_axis(names, axis="columns")


def require_file(path: Path) -> None:
    """Raise DataError unless there is a file at `path`."""
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise DataError(f"data file '{path}' {what}; a CSV or Parquet file is needed")


def data_contract(
    frame: pd.DataFrame,
    sensors: Sequence[Mapping[str, Any]] | None,
    timestamp: str | None,
    window_length: int = 1,
) -> DataContract:
    """The contract that the configuration lists or, if it lists none, the one the table implies.

    Each of `sensors` has `name` and may have `unit`, `low` and `high`. Raises ConfigurationError
    for a list that cannot be used and DataError for a table that implies no contract.
    """
    if sensors is None:
        return infer_contract(frame, timestamp, window_length)
    listed = tuple(_sensor(sensor, place) for place, sensor in enumerate(sensors, start=1))
    for sensor in listed:
        if sensor.name == timestamp:
            raise ConfigurationError(f"column '{timestamp}' is both a sensor and the timestamp")
    return DataContract(listed, window_length)


def infer_contract(
    frame: pd.DataFrame, timestamp: str | None, window_length: int = 1
) -> DataContract:
    """Take every named column but the timestamp, `label` and `fault` as a sensor without limits.

    Raises DataError when such a column is mostly text or empty, or when there is none.
    """
    apart = {timestamp, LABEL, FAULT, SURPLUS, STRETCH}
    names = [
        str(name)
        for name in frame.columns
        if name not in apart and not str(name).startswith(UNNAMED)
    ]
    if not names:
        raise DataError(f"no column can be a sensor; columns: {listed(frame.columns)}")
    for name in names:
        _require_mostly_numbers(frame[name])
    return DataContract(tuple(Sensor(name) for name in names), window_length)


def find_timestamp(frame: pd.DataFrame, sample: int = 1000) -> str | None:
    """The column `timestamp`, else the first whose cells are mostly dates and times, or None.

    Numbers count as times in the column `timestamp` alone. Looks at the first `sample` rows.
    """
    if TIMESTAMP in frame.columns and times(frame[TIMESTAMP].head(sample)).notna().mean() > 0.5:
        return TIMESTAMP
    for name in frame.columns:
        cells = frame[name].head(sample)
        if len(cells) and numbers(cells).notna().mean() < 0.5 and times(cells).notna().mean() > 0.5:
            return str(name)
    return None


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for encoding in ("utf-16",) if utf16 else ENCODINGS:
        try:
            frame = _read_csv_as(path, encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp932":
            logger.warning("data file '%s' is not UTF-8; it was read as %s", path, encoding)
        return frame
    raise DataError(f"data file '{path}' is neither UTF-8 nor Shift JIS text; save it as UTF-8")


def _read_csv_as(path: Path, encoding: str) -> pd.DataFrame:
    header, separator, records = read_header(path, encoding)
    try:
        frame = _cells(path, encoding, header, separator, records)
    except pd.errors.EmptyDataError:
        raise DataError(f"data file '{path}' has a header and no rows") from None
    except pd.errors.ParserError as error:
        raise DataError(f"data file '{path}' cannot be read as CSV: {error}") from None
    if blank(frame[SURPLUS]).all():
        frame = frame.drop(columns=SURPLUS)
    return _without_blank_end(frame, path)


def _cells(
    path: Path, encoding: str, header: list[str], separator: str, records: int
) -> pd.DataFrame:
    """Every cell as text, and in one column more the first cell beyond the header, if any."""
    names = [*header, SURPLUS]

    def read(columns: range | None) -> pd.DataFrame:
        return pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=range(records),
            names=names,
            usecols=columns,
            index_col=False,
            dtype="str",
            na_filter=False,  # "NA" and "null" stay as they were written
            skip_blank_lines=False,
            low_memory=False,
            encoding=encoding,
        )

    try:
        return read(None)
    except pd.errors.ParserError:
        # A row with still more cells stops the reader unless columns are chosen, and columns can
        # be chosen only where some row has them.
        return read(range(len(names)))


def read_header(path: Path, encoding: str) -> tuple[list[str], str, int]:
    """Column names, the separator, and the records down to the header."""
    with path.open(encoding=encoding, newline="") as file:
        first = next((line for line in file if line.strip()), "")
        separator = max(_SEPARATORS, key=first.count)
        file.seek(0)
        records = enumerate(csv.reader(file, delimiter=separator), start=1)
        filled = ((count, cells) for count, cells in records if any(c.strip() for c in cells))
        count, names = next(filled, (0, []))
    if not names:
        raise DataError(f"data file '{path}' is empty; a header and rows of numbers are needed")
    if _are_values(names):
        raise DataError(
            f"data file '{path}' begins with numbers ({listed(names)}); "
            "a first line with the names of the columns is needed"
        )
    named = [name.strip() or f"{UNNAMED}{place}" for place, name in enumerate(names)]
    require_distinct(named, path)
    return named, separator, count


def _are_values(cells: Sequence[str]) -> bool:
    """Whether a line has a number, and beside numbers nothing but times and empty cells: readings,
    not names."""
    filled = pd.Series([cell for cell in cells if cell.strip()], dtype="str")
    read = numbers(filled).notna()
    return bool(read.any() and times(filled[~read]).notna().all())


def require_distinct(names: Sequence[str], path: Path) -> None:
    """Raise DataError when two columns have the same name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"data file '{path}' has two columns named '{twice[0]}'; rename one")


def _without_blank_end(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Drop the blank lines that editors leave at the end of a file; those between rows stay."""
    last = len(frame)
    while last and not any(str(cell).strip() for cell in frame.iloc[last - 1]):
        last -= 1
    if not last:
        raise DataError(f"data file '{path}' has a header and no rows")
    return frame.head(last)


def read_parquet(path: Path) -> pd.DataFrame:
    """The table as it was written; raises pyarrow's errors, which are OSErrors and ValueErrors.

    Opened by Arrow: pandas hands it a file of Python's, which Arrow's threads may still hold when
    the interpreter ends, and then the process aborts or hangs (apache/arrow#34314, #50482).
    """
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise DataError(f"data file '{path}' cannot be read as Parquet: {reason}") from None
    # pandas stores a table's index as a column of its own; only a named one, or one of times,
    # carries data.
    index = frame.index
    carries = any(name is not None for name in index.names) or isinstance(index, pd.DatetimeIndex)
    frame = frame.reset_index(drop=not carries)
    if frame.empty:
        raise DataError(f"data file '{path}' has no rows")
    return frame


def _sensor(listed: Mapping[str, Any], place: int) -> Sensor:
    if "name" not in listed:
        raise ConfigurationError(f"sensor {place} of the contract is {listed!r}; a name is needed")
    fields: dict[str, Any] = {str(key): value for key, value in listed.items()}
    unknown = sorted(fields.keys() - {"name", "unit", "low", "high"})
    if unknown:
        raise ConfigurationError(
            f"sensor '{fields['name']}' has '{unknown[0]}'; name, unit, low and high are allowed"
        )
    # A column's name is text, also when YAML read it as a number.
    return Sensor(**{**fields, "name": str(fields["name"]), "unit": fields.get("unit") or ""})


def _require_mostly_numbers(column: pd.Series) -> None:
    filled = ~blank(column)
    if not filled.any():
        raise DataError(f"column '{column.name}' has no value; remove it, or list the sensors")
    text = numbers(column).isna() & filled
    if text.sum() * 2 > filled.sum():
        place = int(np.argmax(text.to_numpy()))
        cell = str(column.iloc[place])
        raise DataError(
            f"column '{column.name}' is mostly not numbers (row {place + 1} is '{cell}'); "
            f"{_instead(cell.strip())}"
        )


def _instead(cell: str) -> str:
    """What to do about a column whose cells are like this one."""
    if _DECIMAL_COMMA.fullmatch(cell):
        return "write numbers with a decimal point"
    if cell.lower() in _SWITCHED:
        return "write 1 and 0 for what is on and off"
    return "list the sensors, name it as the timestamp, or remove it"


def listed(names: Sequence[Any] | pd.Index, most: int = 20) -> str:
    """Names as a sentence can hold them."""
    shown = ", ".join(str(name) for name in list(names)[:most])
    return shown + (", …" if len(names) > most else "")
