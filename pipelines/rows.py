"""Rows between tables and arrays; apart from `stages`, because pandas takes seconds to import."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from kizashi.data.labelled import LabelledRows
from kizashi.data.load import FAULT, LABEL, read_parquet
from kizashi.data.stretches import STRETCH
from kizashi.errors import DataError
from kizashi.evaluation.labelled_scores import LABELLED_SCORES, labelled_scores
from kizashi.evaluation.report import Evaluation, evaluate
from kizashi.evaluation.sensor_limits import SensorLimits
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract
from kizashi.runtime.thresholds import Threshold
from kizashi.runtime.windows import Rows
from pipelines.stages import StageFiles, existing


def part_rows(files: StageFiles, name: str) -> Rows:
    """One part of the split."""
    return sensor_rows(read_parquet(existing(files.part(name))), files.contract())


def labelled_part(files: StageFiles) -> LabelledRows | None:
    """The validated labelled rows, None where there are none."""
    if not files.labelled.exists():
        return None
    return labelled_rows(read_parquet(files.labelled), files.contract())


def readings(frame: pd.DataFrame, contract: DataContract) -> npt.NDArray[np.float64]:
    """The sensors' columns in the contract's order, shape (N, F).

    Raises DataError when the table has other sensors.
    """
    missing = [name for name in contract.names if name not in frame.columns]
    if missing:
        raise DataError(f"the rows have no sensor '{missing[0]}'; run the stages again: dvc repro")
    return frame[list(contract.names)].to_numpy(dtype=np.float64)


def sensor_rows(frame: pd.DataFrame, contract: DataContract) -> Rows:
    """`readings` by stretch; a table that tells none is one. Raises as `readings` does."""
    stretch_N = frame[STRETCH].to_numpy(dtype=np.int64) if STRETCH in frame else None
    return Rows(readings(frame, contract), stretch_N)


def labelled_rows(frame: pd.DataFrame, contract: DataContract) -> LabelledRows:
    """A validated labelled table as arrays; a table without `fault` names no faults."""
    label_N = frame[LABEL].to_numpy().astype(bool)
    fault_N = (
        frame[FAULT].fillna("").astype(str).to_numpy(dtype=str)
        if FAULT in frame
        else np.where(label_N, "anomaly", "")
    )
    return LabelledRows(sensor_rows(frame, contract), label_N, fault_N)


def rows_to_choose_by(threshold: Threshold, labelled: LabelledRows | None) -> LabelledRows | None:
    """The labelled rows that `threshold` may be chosen by: those of the first half of the faults,
    None where the rule wants none or there are none.

    Raises DataError for none, or too few faults, where the rule cannot do without.
    """
    if labelled is None and threshold.requires_labels:
        raise DataError(
            f"threshold '{threshold.kind}' needs labelled rows, faulty and normal ones, and there "
            "are none; give data.labelled=FILE or choose another threshold"
        )
    if labelled is None or not threshold.wants_labels:
        return None
    if labelled.faults < 2 and not threshold.requires_labels:
        return None
    return labelled.halves()[0]


def labelled_tag(bundle: Bundle, labelled: LabelledRows | None) -> dict[str, str]:
    """The tag by which a service tells precision and recall at any threshold, of the labelled rows
    that `evaluated` reports on; empty where there are none."""
    if labelled is not None and bundle.detector.threshold.in_effect == "labelled":
        labelled = labelled.halves()[1]
    if labelled is None or not labelled.shows_faults(bundle.detector.contract.window_length):
        return {}
    return {LABELLED_SCORES: labelled_scores(bundle.detector, labelled)}


def evaluated(
    bundle: Bundle,
    holdout: Rows,
    labelled: LabelledRows | None,
    limits: SensorLimits | None = None,
) -> Evaluation:
    """The evaluation of a bundle; a threshold that was chosen by labels is reported on those
    labelled rows that it was not chosen by, and `labelled.warning` says so."""
    if labelled is None or bundle.detector.threshold.in_effect != "labelled":
        return evaluate(bundle.detector, holdout, labelled, limits)
    chosen, rest = labelled.halves()
    evaluation = evaluate(bundle.detector, holdout, rest, limits)
    if "labelled" in evaluation:
        evaluation["labelled"]["warning"] = (
            f"the threshold was chosen by the first {len(chosen.rows):,} labelled rows; these "
            f"figures are of the other {len(rest.rows):,}"
        )
    return evaluation
