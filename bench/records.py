"""The tidy table of results: one row for each case, method, seed and false alarm rate asked for.

Rows are appended as they come, so that a bench that was stopped goes on where it was. `key` is a
hash of all that a result depends on: settings, code, libraries, data. When one of them changes, new
rows are added beside the old ones.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

import kizashi
from bench.cases import BoolArray, Case, CaseFolder
from bench.outcome import Method, Outcome, rate_text
from kizashi.errors import DataError
from kizashi.evaluation.metrics import auprc, auroc, false_alarm_band

MEASURED = 1
"""Counts up when the same outcome is measured in another way."""
BAND = 0.999
NAMES = ("suite", "case", "method", "seed", "alpha", "key")
TEXTS = (*NAMES, "kind", "threshold", "failed")
NUMBERS = (
    "sensors",
    "window_length",
    "train_rows",
    "auroc",
    "auprc",
    "auroc_calibrated",
    "auprc_calibrated",
    "calibration_rows",
    "normal_rows",
    "false_alarms",
    "false_alarm_rate",
    "band_low",
    "band_high",
    "within_band",
    "anomalous_rows",
    "found",
    "detection_rate",
    "fit_seconds",
    "batch_us",
    "single_us",
    "bundle_bytes",
)
COLUMNS = (*TEXTS, *NUMBERS)
OWN_CODE = ("runtime", "models", "training", "data/split.py")

Record = dict[str, Any]


class Results:
    """The table at `path`; raises DataError when what is there is another table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append([dict(zip(COLUMNS, COLUMNS, strict=True))])
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(f"'{path}' has other columns than this bench: use another out")
            self._done = {_place(row) for row in reader}

    def has(self, record: Mapping[str, Any]) -> bool:
        """Whether there is a row with the same NAMES, measured or failed."""
        return _place(record) in self._done

    def add(self, records: Iterable[Record]) -> None:
        """Append the rows that are not there yet."""
        new = [record for record in records if not self.has(record)]
        self._append(new)
        self._done |= {_place(record) for record in new}

    def table(self, wanted: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Those of the wanted rows that are there, each known by its NAMES."""
        places = {_place(names) for names in wanted}
        frame = pd.read_csv(self.path, dtype=str, keep_default_na=False)
        found = [place in places for place in zip(*(frame[name] for name in NAMES), strict=True)]
        frame = frame[found].reset_index(drop=True)
        for name in NUMBERS:
            frame[name] = pd.to_numeric(frame[name])
        return frame

    def _append(self, records: Iterable[Record]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            for record in records:
                writer.writerow({name: _cell(value) for name, value in record.items()})


def names_of(folder: CaseFolder, method: Method, seed: int, key: str, alpha: str) -> Record:
    """The part of a row that says what it is the result of."""
    found = (folder.suite, folder.name, method.name, str(seed), alpha, key)
    return dict(zip(NAMES, found, strict=True))


def measured(names: Record, case: Case, method: Method, outcome: Outcome) -> list[Record]:
    """One row for each threshold of `outcome`; `names` are of any of them."""
    label_B = case.label_N
    of_all: Record = {
        "kind": case.kind,
        "failed": "",
        "sensors": len(case.contract.sensors),
        "window_length": method.window_length,
        "train_rows": len(case.train_NF),
        "auroc": auroc(label_B, outcome.score_B),
        "auprc": auprc(label_B, outcome.score_B),
        "auroc_calibrated": auroc(label_B, outcome.calibrated_score_B),
        "auprc_calibrated": auprc(label_B, outcome.calibrated_score_B),
        "fit_seconds": outcome.fit_seconds,
        "batch_us": outcome.batch_us,
        "single_us": outcome.single_us,
        "bundle_bytes": "" if outcome.bundle_bytes is None else outcome.bundle_bytes,
    }
    rows = []
    for threshold, anomaly_B in zip(outcome.thresholds, outcome.anomaly_B, strict=True):
        row: Record = {"alpha": rate_text(threshold), "threshold": threshold.kind}
        row |= _alarms(label_B, anomaly_B)
        row["calibration_rows"] = threshold.calibration_rows
        if case.kind == "exchangeable" and threshold.kind == "conformal":
            row |= _band(row, threshold.false_alarm_rate or 0.0)
        rows.append({**names, **of_all, **row})
    return rows


def failed(names: Record, kind: str, error: Exception) -> Record:
    """The row of a method that gave no result on a case."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return {**names, "kind": kind, "failed": f"{type(error).__name__}: {reason}"[:200]}


def key_of(folder_digest: str, method: Method) -> str:
    """The hash of all that the result of `method` depends on, but the seed and the rate."""
    code = _own_code() if method.peer is None else _peer_code()
    stated = json.dumps([MEASURED, folder_digest, code, method.identity()], sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:12]


def _alarms(label_B: BoolArray, anomaly_B: BoolArray) -> Record:
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


def _band(row: Record, alpha: float) -> Record:
    """Where the law of split conformal puts this case; nothing where there are too few rows."""
    low, high = false_alarm_band(row["calibration_rows"], row["normal_rows"], alpha, BAND)
    if (low, high) == (0.0, 1.0):
        return {}
    inside = low - 1e-12 <= row["false_alarm_rate"] <= high + 1e-12
    return {"band_low": low, "band_high": high, "within_band": int(inside)}


def _place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in NAMES)


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
