"""What does a verdict cost, by network, scorer, number of sensors and length of windows?

Fits each network with each scorer on simulated rows of each shape, SENSORSxROWS of a window, and
serves new ones as `python -m bench.detection` does: one at a time (`Detector.verdict`), in batches,
and with one value missing. Times are of the processor, on one thread, and the best of several
rounds, so that other work on the machine adds little. A pattern of missing values that comes for
the first time costs more than later ones: `new_pattern_ms` is of that first one.

Rows follow four hidden states through curves. `state_rarity` and `sensor_relations` do not apply to
those: they get on/off sensors, and sensors bound by linear relations. `joint` gets all three,
because what applies is a part of it.

    python -m bench.costs [shapes=[3x1,16x1]] [networks=[dense]] [scorers=[joint]]
        [out=bench/results] [documents.en=null documents.ja=null]
"""

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, MinLen
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import track
from threadpoolctl import threadpool_limits

from bench.brief import quote
from bench.costs_summary import brief, summary
from bench.fitted import Fitted, FittedOwn
from bench.serving.model import simulated_rows
from kizashi.errors import ConfigurationError
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.windows import Rows
from kizashi.training.fit import NormalRows
from pipelines.command import command, setting
from pipelines.recipe import recipe

FloatArray = npt.NDArray[np.float64]
Simulate = Callable[[int, int, int], FloatArray]
"""Normal rows, shape (count, sensors), from both and a seed."""

BATCH, SINGLE = 1_000, 50
"""Windows in a batch, and windows judged one after the other in a round."""
SECONDS, ROUNDS = 0.1, 3
"""Rounds go on for so long, so that a moment in which others disturb is not all; but at least so
many."""
RELATION_NOISE = 0.001


@dataclass(frozen=True)
class Shape:
    """Of what is judged at once; raises ConfigurationError for a text that is no shape."""

    sensors: int
    length: int

    @classmethod
    def named(cls, text: str) -> Self:
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
        if match is None:
            raise ConfigurationError(f"shapes has '{text}'; SENSORSxROWS is needed, as in 16x1")
        return cls(int(match[1]), int(match[2]))


def switches(count: int, sensors: int, seed: int) -> FloatArray:
    """Sensors that are on or off, each as often as it is."""
    often_F = np.random.default_rng(0).uniform(0.1, 0.9, sensors)
    drawn_NF = np.random.default_rng([seed, 2]).random((count, sensors))
    return np.asarray(drawn_NF < often_F, dtype=np.float64)


def relations(count: int, sensors: int, seed: int) -> FloatArray:
    """Many sensors on few states: a sum of them each, and next to no noise."""
    states = max(1, min(4, sensors // 4))
    mixed_SF = np.random.default_rng(0).normal(size=(states, sensors))
    rng = np.random.default_rng([seed, 3])
    states_NS = rng.uniform(-1, 1, (count, states))
    return np.asarray(states_NS @ mixed_SF + RELATION_NOISE * rng.normal(size=(count, sensors)))


ROWS: dict[str, Simulate] = {
    "curves": simulated_rows,
    "switches": switches,
    "relations": relations,
}
ROWS_OF = {"joint": tuple(ROWS), "state_rarity": ("switches",), "sensor_relations": ("relations",)}
"""The kinds of rows that a scorer is measured on; any other on curves."""


@command("bench_costs")
def main(config: DictConfig) -> None:
    overrides = list(HydraConfig.get().overrides.task)
    out = Path(setting(config, "out", str))
    out.mkdir(parents=True, exist_ok=True)
    recorded, document = out / "costs.csv", out / "costs.md"
    stated, rows = made_by(overrides), list[dict[str, Any]]()
    for row in measured(config, lambda chosen: compose("bench_costs", [*overrides, *chosen])):
        rows.append(row)  # written down at once: a run that is stopped leaves what it measured
        pd.DataFrame(rows).to_csv(recorded, index=False, float_format="%.6g", lineterminator="\n")
    table = pd.read_csv(recorded)  # what is quoted is what is recorded, to the last digit
    document.write_text(summary(table, stated), encoding="utf-8")
    for language, page in setting(config, "documents", dict[str, str | None]).items():
        if page is not None:
            quote(Path(page), "bench.costs", brief(table, language))
    print(summary(table, stated))


def made_by(overrides: Sequence[str]) -> str:
    """The command that measures the same; where the results go is of no use to others."""
    stated = [one for one in overrides if not one.startswith(("out=", "documents"))]
    return shlex.join(["python", "-m", "bench.costs", *stated])


def measured(
    config: DictConfig, composed: Callable[[list[str]], DictConfig]
) -> Iterator[dict[str, Any]]:
    """A record for each network, scorer, kind of rows and shape; `composed` gives the configuration
    with further overrides."""
    chosen = setting(config, "shapes", Annotated[list[str], MinLen(1)])
    shapes = [Shape.named(text) for text in chosen]
    every = [
        (shape, network, scorer, kind)
        for shape in shapes
        for network in setting(config, "networks", Annotated[list[str], MinLen(1)])
        for scorer in setting(config, "scorers", Annotated[list[str], MinLen(1)])
        for kind in ROWS_OF.get(scorer, ("curves",))
    ]
    for shape, network, scorer, kind in track(every, "detectors"):
        options = [f"model={network}", f"scorer={scorer}", f"window.length={shape.length}"]
        yield {
            "network": network,
            "scorer": scorer,
            "rows": kind,
            "sensors": shape.sensors,
            "window_length": shape.length,
            **_costs(composed(options), shape, ROWS[kind]),
        }


def _costs(config: DictConfig, shape: Shape, simulate: Simulate) -> dict[str, float]:
    train = setting(config, "train_rows", Annotated[int, Ge(100)])
    calibration = setting(config, "calibration_rows", Annotated[int, Ge(100)])
    rows = Rows(simulate(train + calibration, shape.sensors, 0))
    parts = NormalRows(rows[:train], rows[:0], rows[train:])
    sensors = tuple(Sensor(f"sensor_{place:03}") for place in range(shape.sensors))
    contract = DataContract(sensors, window_length=shape.length)
    with threadpool_limits(1):
        fitted = FittedOwn.fit(recipe(config), contract, parts)
        new_NF = simulate(BATCH + shape.length - 1, shape.sensors, 1)
        return {
            "steps": setting(config, "trainer.steps", int),
            "fit_seconds": fitted.fit_seconds,
            "bundle_bytes": float(fitted.bundle_bytes or 0),
            **served(fitted, fitted.detector.windows(new_NF)),
        }


def served(fitted: Fitted, windows_BTF: FloatArray) -> dict[str, float]:
    """What serving windows costs, and what it does with one value of each missing: nothing of that
    where there is a single one."""
    costs = {
        "single_us": microseconds(fitted, windows_BTF[:SINGLE], at_once=1),
        "batch_us": microseconds(fitted, windows_BTF, at_once=len(windows_BTF)),
    }
    if windows_BTF[0].size > 1:
        missing_BTF = windows_BTF[:SINGLE].copy()
        missing_BTF[:, -1, 0] = np.nan
        start = time.process_time()
        fitted.serve(missing_BTF[:1])
        costs["new_pattern_ms"] = (time.process_time() - start) * 1e3
        costs["missing_us"] = microseconds(fitted, missing_BTF, at_once=1)
    return costs


def microseconds(fitted: Fitted, windows_BTF: FloatArray, at_once: int) -> float:
    """Of the processor for each window, of which so many are served at once; best of rounds."""
    calls = [windows_BTF[i : i + at_once] for i in range(0, len(windows_BTF), at_once)]
    taken: list[float] = []
    while len(taken) < ROUNDS or sum(taken) < SECONDS:
        start = time.process_time()
        for call in calls:
            fitted.serve(call)
        taken.append(time.process_time() - start)
    return min(taken) / len(windows_BTF) * 1e6


if __name__ == "__main__":
    main()
