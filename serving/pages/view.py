"""What the templates show of a served model, in the words of the reader's language."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kizashi.runtime.calibration import fewest_rows
from kizashi.runtime.contract import Sensor
from kizashi.runtime.thresholds import Threshold
from serving.following.detectors import Served
from serving.pages.locale import Locale
from serving.pages.numbers import percent, short

SHOWN_HASH = 12
HASHES = ("data_hash", "git_commit")


@dataclass(frozen=True, slots=True)
class Field:
    """One sensor's input on the form, with a normal reading in it."""

    sensor: Sensor
    example: str
    limits: str
    """The instrument's limits, empty when none is known."""
    may_be_negative: bool


@dataclass(frozen=True, slots=True)
class ThresholdWords:
    """A threshold for a reader: the number, the rule, what it promises, what to beware of."""

    value: str
    rule: str
    promise: str
    warning: str


def fields(served: Served) -> list[Field]:
    """The form's fields, prefilled with the last row of the bundle's normal example."""
    example_F = served.bundle.example[-1]
    return [
        Field(
            sensor=sensor,
            example=_entry(float(reading)),
            limits=_limits(sensor),
            may_be_negative=sensor.low is None or sensor.low < 0,
        )
        for sensor, reading in zip(served.detector.contract.sensors, example_F, strict=True)
    ]


def lineage(served: Served) -> dict[str, str]:
    """Where the served model comes from, by the name of each fact; hashes in short form.

    A fact that the registry does not know is left out; a plain bundle folder has none but its own
    hash.
    """
    tags = {key: value for key, value in served.tags.items() if value}
    facts = {"source": served.source, "bundle": served.bundle.hash[:SHOWN_HASH]}
    facts |= {key: tags[key][:SHOWN_HASH] for key in HASHES if key in tags}
    if "git_commit" in facts and tags.get("git_dirty", "").lower() in ("true", "1", "yes"):
        facts["git_dirty"] = "yes"
    if "run_id" in tags:
        facts["run_id"] = tags["run_id"]
    return facts


def threshold_words(threshold: Threshold, t: Locale) -> ThresholdWords:
    """The threshold in the reader's language; a rule without words here keeps its own English."""
    kind, words = threshold.in_effect, _figures(threshold)
    rule, promise, warning = kind, threshold.guarantee, threshold.warning
    fallback = ".fallback" if threshold.fell_back else ""
    if f"rule.{kind}" in t.texts:
        rule = t(f"rule.{kind}")
        promised = f"{kind}.cross_fitted{fallback}"
        if not threshold.cross_fitted or f"promise.{promised}" not in t.texts:
            promised = "fallback" if fallback else kind
        promise = t(f"promise.{promised}", **words)
    if threshold.kind != kind and f"rule.{threshold.kind}" in t.texts:
        rule = t(f"rule.{threshold.kind}", rule=rule)
    doubt = f"{kind}{fallback}"
    if threshold.cross_fitted and f"warning.{doubt}.cross_fitted" in t.texts:
        doubt = f"{doubt}.cross_fitted"
    if warning and f"warning.{doubt}" in t.texts:
        warning = t(f"warning.{doubt}", **words)
    return ThresholdWords(short(threshold.value), rule, promise, warning)


def _figures(threshold: Threshold) -> dict[str, str]:
    """The figures that sentences about a threshold name, as they are shown."""
    figures = {"rows": f"{threshold.calibration_rows:,}"}
    for name, value in threshold.details.items():
        figures[name] = value if isinstance(value, str) else short(value)
    if threshold.false_alarm_rate is not None:
        figures["rate"] = percent(threshold.false_alarm_rate)
        figures["below"] = percent(1 - threshold.false_alarm_rate)
        figures["needed"] = f"{fewest_rows(threshold.false_alarm_rate):,}"
    return figures


def model_data(served: Served) -> dict[str, Any]:
    """What the scripts of a page need of the served model."""
    detector = served.detector
    return {
        "name": served.name,
        "version": served.version,
        "bundle": served.bundle.hash,
        "sensors": [asdict(sensor) for sensor in detector.contract.sensors],
        "window_length": detector.contract.window_length,
        "example": [[_entry(float(value)) for value in row] for row in served.bundle.example],
        "threshold": detector.threshold.value,
        "calibration_rows": len(detector.calibration.scores),
    }


def _limits(sensor: Sensor) -> str:
    """The instrument's limits with the unit, as a reader writes them: 0–20 mm/s, ≤ 80 °C."""
    unit = f" {sensor.unit}" if sensor.unit else ""
    if sensor.low is not None and sensor.high is not None:
        return f"{short(sensor.low)} – {short(sensor.high)}{unit}"
    if sensor.low is not None:
        return f"≥ {short(sensor.low)}{unit}"
    return "" if sensor.high is None else f"≤ {short(sensor.high)}{unit}"


def _entry(value: float) -> str:
    """A reading as it would be typed: six significant digits, no thousands separator."""
    return np.format_float_positional(float(f"{value:.6g}"), trim="-")


def example_rows(served: Served) -> list[dict[str, float]]:
    """The bundle's normal example as a client would send it, a reading for each sensor's name."""
    names = served.detector.contract.names
    return [
        {name: float(_entry(float(value))) for name, value in zip(names, row, strict=True)}
        for row in served.bundle.example
    ]
