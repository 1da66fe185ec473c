"""A tidy table of results: one row for each case, method, seed and value of what is varied.

Rows are appended as they come, so that a bench that was stopped goes on where it was. `key` is a
hash of all that a result depends on: settings, code, libraries, data. When one of them changes, new
rows are added beside the old ones.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

import kizashi
from bench.cases import CaseFolder
from bench.methods import Method
from kizashi.errors import DataError

OWN_CODE = ("runtime", "models", "training", "data/split.py")
"""What decides a result, with the settings and the data that the key names too. Left out is what
only hands these on: `pipelines/recipe.py` builds what the settings say, `bench/cases.py` reads the
files, `bench/fitted.py` has the detector fitted. To hash them would throw hours of results away for
a change of words. Whoever changes what they hand on counts `version` of the measurements up, which
is in the key as well."""


Record = dict[str, Any]


@dataclass(frozen=True)
class Columns:
    """The columns of a table: `varied` tells apart the rows of one case, method and seed, and
    `numbers` are measured."""

    varied: str
    numbers: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What a row is known by."""
        return ("suite", "case", "method", "seed", self.varied, "key")

    @property
    def every(self) -> tuple[str, ...]:
        return (*self.names, "kind", "threshold", "failed", *self.numbers)


class Results:
    """The table at `path`; raises DataError when what is there is another table."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self._columns = path, columns
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append([dict(zip(columns.every, columns.every, strict=True))])
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns.every:
                raise DataError(f"'{path}' has other columns than this bench: use another out")
            self._done = {self._place(row) for row in reader}

    def has(self, record: Mapping[str, Any]) -> bool:
        """Whether there is a row with the same names, measured or failed."""
        return self._place(record) in self._done

    def add(self, records: Iterable[Record]) -> None:
        """Append the rows that are not there yet."""
        new = [record for record in records if not self.has(record)]
        self._append(new)
        self._done |= {self._place(record) for record in new}

    def table(self, wanted: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Those of the wanted rows that are there, each known by its names."""
        places = {self._place(names) for names in wanted}
        frame = read_table(self.path, self._columns)
        names = (frame[name] for name in self._columns.names)
        found = [place in places for place in zip(*names, strict=True)]
        return frame[pd.Series(found, dtype=bool)].reset_index(drop=True)

    def _append(self, records: Iterable[Record]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._columns.every, restval="", lineterminator="\n")
            for record in records:
                writer.writerow({name: _cell(value) for name, value in record.items()})

    def _place(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in self._columns.names)


def read_table(path: Path, columns: Columns) -> pd.DataFrame:
    """Every row that is there, old ones too: texts as texts, numbers as numbers."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in columns.numbers:
        frame[name] = pd.to_numeric(frame[name])
    return frame


def names_of(folder: CaseFolder, method: Method, seed: int, key: str) -> Record:
    """The part of a row that says what it is the result of, but for what is varied."""
    return {
        "suite": folder.suite,
        "case": folder.name,
        "method": method.name,
        "seed": str(seed),
        "key": key,
    }


def failed(names: Record, kind: str, error: Exception) -> Record:
    """The row of a method that gave no result on a case."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return {**names, "kind": kind, "failed": f"{type(error).__name__}: {reason}"[:200]}


def key_of(folder_digest: str, method: Method, measured: int) -> str:
    """The hash of all that the result of `method` depends on, but the seed and what is varied;
    `measured` counts up when the same detector is measured in another way."""
    code = _own_code() if method.peer is None else _peer_code()
    stated = json.dumps([measured, folder_digest, code, method.identity()], sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:12]


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


@cache
def _own_code() -> str:
    return _hash_of([Path(kizashi.__file__).parent / name for name in OWN_CODE])


@cache
def _peer_code() -> str:
    versions = [f"{name} {_version(name)}" for name in ("pyod", "scikit-learn")]
    return ", ".join([*versions, _hash_of([Path(__file__).parent / "peers.py"])])


def _hash_of(places: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for place in places:
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            total.update(file.read_bytes())
    return total.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
