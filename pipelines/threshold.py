"""Recalibrate a registered version on new normal rows, without training again.

    python -m pipelines.threshold data.path=new.csv
    python -m pipelines.threshold data.path=new.csv version=3 threshold=auto threshold.alpha=0.01

The network stays as it is; calibration scores and threshold are made anew, and the result is
registered as a new version with the alias `candidate`. Without `threshold=` the version's own rule
is fitted again.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from kizashi.data.labelled import LabelledRows
from kizashi.data.report import parted
from kizashi.data.source import DataSource
from kizashi.data.validate import examine
from kizashi.errors import ConfigurationError, DataError
from kizashi.registry import CANDIDATE, PRODUCTION, ModelVersion, Registry
from kizashi.runtime.bundle import Bundle, load_bundle, save_bundle
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector, scaled
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.thresholds import CalibrationScores, Threshold
from kizashi.runtime.windows import Rows
from kizashi.tracking import Tracking, dvc_md5, file_hash, lineage, register_bundle, start_run
from pipelines.command import build, command, setting
from pipelines.rows import labelled_rows, labelled_tag, rows_to_choose_by, sensor_rows

FEWEST_WINDOWS = 30
"""From fewer scores p-values and thresholds would be chance."""


@dataclass(frozen=True)
class NewRows:
    """The rows to calibrate on: as a table, by stretch, and what validation says of them."""

    frame: pd.DataFrame
    rows: Rows
    report: Mapping[str, Any]
    labelled: LabelledRows | None


@dataclass(frozen=True)
class Recalibration:
    """A version's bundle, and the one made of it with new rows."""

    parent: ModelVersion
    before: Bundle
    after: Bundle
    new: NewRows

    @cached_property
    def figures(self) -> dict[str, float]:
        """The number of new windows, both thresholds, and the false alarm rate of the old one."""
        detector = self.before.detector
        windows_BTF = self.new.rows.windows(detector.contract.window_length)
        return {
            "windows": len(windows_BTF),
            "threshold": self.after.detector.threshold.value,
            "parent_threshold": detector.threshold.value,
            "parent_false_alarm_rate": float(
                detector.decide(windows_BTF, detector.score(windows_BTF)).mean()
            ),
        }

    @property
    def tags(self) -> dict[str, str]:
        """Lineage: the new rows, the version that was recalibrated, and why."""
        figures, version = self.figures, self.parent.version
        tags = lineage(self.after, self.new.report) | labelled_tag(self.after, self.new.labelled)
        tags |= {
            "parent_version": version,
            "parent_bundle_hash": self.before.hash,
            "recalibrated": (
                f"the threshold {figures['parent_threshold']:.6g} of version {version} judged "
                f"{figures['parent_false_alarm_rate']:.3%} of {figures['windows']:,} new normal "
                f"windows an anomaly; it is {figures['threshold']:.6g} now"
            ),
        }
        learned = training_data_hash(self.parent)
        return tags if learned is None else tags | {"training_data_hash": learned}


@command("recalibrate")
def main(config: DictConfig) -> None:
    tracking: Tracking = build(config.tracking)
    if not tracking.enabled:
        raise ConfigurationError(
            "tracking is off, and what is recalibrated is a registered version; leave out "
            "tracking=none"
        )
    if config.data.path is None:
        raise ConfigurationError("data.path is missing; give new normal rows as data.path=FILE")
    registry = Registry(tracking.uri, setting(config, "name", str))
    source: DataSource = build(config.data)
    in_time, keep = setting(config, "in_time", bool), setting(config, "keep", bool)
    asked: Threshold | None = build(config.threshold) if "threshold" in config else None
    frame = source.normal()  # what is wrong without a registry is said before its seconds
    parent = chosen_version(registry, setting(config, "version", int | str))
    with tempfile.TemporaryDirectory() as folder:
        before = load_bundle(registry.download(parent, Path(folder) / "before"))
        before.check_example()
        detector = before.detector
        threshold = asked or Threshold.from_dict(detector.threshold.to_dict())
        new = examined(source, frame, detector.contract)
        if new.report["sha256"] == training_data_hash(parent):
            raise DataError(
                f"'{source.path}' is the file that version {parent.version} was trained on; the "
                "scores of rows that a network has learned from are far too low: new rows are "
                "needed"
            )
        result = recalibrated(detector, threshold, new, in_time, keep)
        assert isinstance(detector.network, OnnxNetwork)  # as of every bundle
        network = detector.network.model
        after = save_bundle(result, network, before.example, Path(folder) / "after")
        done = Recalibration(parent, before, after, new)
        _print(done)
        version = _registered(config, tracking, registry, done)
    print(f"version {version.version} of '{version.name}' holds bundle {after.hash[:12]}")
    print(f"promote it with: python -m pipelines.promote version={version.version}")


def chosen_version(registry: Registry, version: int | str) -> ModelVersion:
    """The version that `production`, `candidate` or a number means; raises RegistryError where
    there is none."""
    if version in (PRODUCTION, CANDIDATE):
        alias = "" if version == PRODUCTION else f"@{version}"  # production may be a legacy stage
        return registry.resolve(f"models:/{registry.name}{alias}")
    return registry.version(str(version))


def training_data_hash(version: ModelVersion) -> str | None:
    """The hash of the file that the version's network learned from, None where no tag tells."""
    return version.tags.get("training_data_hash", version.tags.get("data_hash"))


def examined(source: DataSource, frame: pd.DataFrame, contract: DataContract) -> NewRows:
    """The good rows of the source with the sensors of `contract`.

    Raises DataError for a missing sensor, and for too many bad rows.
    """
    time = source.time_column(frame)
    normal = examine(frame, contract, time, max_step=source.max_step)
    normal.require_usable(source.max_bad_share)
    if sentence := parted(normal.report["stretches"]):
        print(sentence)
    for warning in normal.report["warnings"]:
        print(f"warning: {warning}")
    if normal.report["bad_rows"]:
        print(f"{normal.report['bad_rows']:,} bad rows are left out")
    origin = {"source": source.path, "sha256": file_hash(Path(source.path))}
    found, labelled = source.labelled_rows(), None
    if found is not None:
        good = examine(found, contract, time, labelled=True, max_step=source.max_step)
        labelled = labelled_rows(good.require_usable(source.max_bad_share).rows, contract)
    report = origin | dvc_md5(Path(source.path)) | normal.report
    return NewRows(normal.rows, sensor_rows(normal.rows, contract), report, labelled)


def recalibrated(
    present: Detector, threshold: Threshold, new: NewRows, in_time: bool, keep: bool
) -> Detector:
    """The detector with calibration scores and threshold from new rows; `keep` adds them to those
    that are there.

    Raises DataError for fewer than FEWEST_WINDOWS windows.
    """
    length = present.contract.window_length
    count = len(new.rows.ends(length))
    if count < FEWEST_WINDOWS:
        raise DataError(_too_few(new.rows, length, count))
    new_BTF = new.rows.windows(length)
    scores, blocks = present.score(new_BTF), present.calibration.blocks
    # Beside blocks of cross-fitting, new rows are one more that was left out of the fit.
    blocks = (*blocks, len(scores)) if keep and blocks else ()
    if keep:
        scores = np.concatenate([present.calibration.scores, scores])
    evidence = CalibrationScores(scores, in_time, blocks=blocks)
    chosen_by = rows_to_choose_by(threshold, new.labelled)
    if chosen_by is not None:
        windows_BTF, label_B = chosen_by.windows(length)
        evidence = replace(evidence, labelled_scores=present.score(windows_BTF), labels=label_B)
    missing = present.missing
    if missing is not None:
        missing = missing.recalibrated(scaled(present.scaler, new_BTF), keep)
    return replace(
        present,
        calibration=Calibration(scores, blocks),
        threshold=threshold.fit(evidence),
        missing=missing,
    )


def _too_few(rows: Rows, length: int, count: int) -> str:
    stretches = len(rows.lengths)
    if stretches > 1 and length > 1:
        return (
            f"{len(rows)} good rows in {stretches} stretches without a pause hold {count} windows "
            f"of {length} rows, which are too few to calibrate on; at least {FEWEST_WINDOWS} are "
            "needed"
        )
    return (
        f"{len(rows)} good rows are too few to calibrate on; at least "
        f"{FEWEST_WINDOWS + length - 1} are needed"
    )


def _print(done: Recalibration) -> None:
    old, threshold = done.before.detector.threshold, done.after.detector.threshold
    figures = done.figures
    asked = "" if old.false_alarm_rate is None else f", asked for {old.false_alarm_rate:.3%}"
    print(f"version {done.parent.version}: threshold {old.value:.6g} ({old.in_effect})")
    print(
        f"  false alarms on {figures['windows']:,} new normal windows: "
        f"{figures['parent_false_alarm_rate']:.3%}{asked}"
    )
    print(f"recalibrated: threshold {threshold.value:.6g} ({threshold.in_effect})")
    print(f"  {threshold.guarantee}")
    if threshold.reason:
        print(f"  {threshold.reason}")
    if threshold.warning:
        print(f"warning: {threshold.warning}")


def _registered(
    config: DictConfig, tracking: Tracking, registry: Registry, done: Recalibration
) -> ModelVersion:
    """One run of its own, and its model as the candidate."""
    described = OmegaConf.to_container(config, resolve=True)
    assert isinstance(described, dict)
    with start_run(tracking) as run:
        run.parameters({str(key): value for key, value in described.items()})
        run.dataset(done.new.frame, done.new.report, "calibration")
        run.metrics(done.figures)
        run.tags(done.tags)
        run.model(done.after)
    return register_bundle(registry, tracking, done.after, done.tags)


if __name__ == "__main__":
    main()
