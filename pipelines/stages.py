"""The files that one stage leaves for the next, under `artifacts/`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.contract import DataContract

SETTINGS = "settings.json"
"""Beside the rows of a stage: the settings that made them, by dotted name."""


@dataclass(frozen=True)
class StageFiles:
    """Paths under one folder; reading what no stage has written yet raises DataError."""

    folder: Path

    @property
    def validated(self) -> Path:
        return self.folder / "validated"

    @property
    def normal(self) -> Path:
        return self.validated / "normal.parquet"

    @property
    def labelled(self) -> Path:
        """Does not exist where there are no labelled rows."""
        return self.validated / "labelled.parquet"

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

    def part(self, name: str) -> Path:
        """One part of the split."""
        return self.split / f"{name}.parquet"

    def require_settings(self, stage: str, settings: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless `stage` ran with these settings.

        A run that records settings which its rows were not made with would mislead.
        """
        used = read_json(self.folder / stage / SETTINGS)
        for name, value in settings.items():
            if used.get(name) != value:
                raise ConfigurationError(
                    f"{name} is {json.dumps(value)}, and the rows in {self.folder} were made with "
                    f"{json.dumps(used.get(name))}; change conf/ and run: dvc repro"
                )

    def contract(self) -> DataContract:
        """What `validate` found the sensors to be."""
        return DataContract.from_dict(read_json(self.validated / "contract.json"))

    def report(self) -> Mapping[str, Any]:
        """What `validate` found in the data, and which data that was."""
        return read_json(self.validated / "report.json")


def read_json(path: Path) -> dict[str, Any]:
    """A stage's JSON object."""
    content: dict[str, Any] = json.loads(existing(path).read_text(encoding="utf-8"))
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON as people read it, ending in a newline."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def existing(path: Path) -> Path:
    """`path`; raises DataError where no stage has written it."""
    if not path.exists():
        raise DataError(f"{path} does not exist; run the stages before this one: dvc repro")
    return path
