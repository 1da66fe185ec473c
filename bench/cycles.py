"""Simulated cases in which the order of rows tells more than their values do, for
`python -m bench.detection data=FOLDER` (bench/results/windowed/detection.md begins with the whole
command). They are simulations, not real machines:

    cycle_fixed      three sensors of a machine that repeats itself every 16 rows
    cycle_wandering  the same with a speed that wanders, mostly between 9 and 29 rows a cycle
    pulses           events at random times, which three sensors show one after the other
    steps            four states that follow one another, each held for 2 to 5 rows

Training rows are normal. In the test rows, which follow them, faults last FAULT_ROWS rows and their
kinds take turns; but for noise, what a sensor reads in a fault it reads in normal rows too. A row
is labelled for as long as the fault lasts. Windows that end soon after it still hold rows of it,
and count as normal, so no method can tell all apart. Each case has its own seed: the same call
writes the same bytes.

    python -m bench.cycles out=FOLDER [train_rows=1500] [test_rows=2000]
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import DictConfig
from scipy.signal import lfilter

from bench.cases import TEST, TIMESTAMP, TRAIN
from kizashi.data.load import LABEL
from kizashi.errors import ConfigurationError
from pipelines.command import command, setting

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SUITE = "windowed"
NOISE = 0.1
"""Standard deviation of what is added to every reading; signals move by about 1."""
FAULT_ROWS, NORMAL_ROWS, MORE_NORMAL_ROWS = 48, 150, 60
"""Length of a fault, the fewest normal rows before it, and up to how many more."""
CYCLE, WANDER, MEMORY = 16, 0.3, 0.99
"""Rows of a cycle; standard deviation of its log speed, and how much of it a row later is left."""
PULSE_ROWS, DELAY, DECAY, FAST_DECAY = 20, 2, 3.0, 1.2
LEVELS = np.array([[-1, -1, -1], [1, -1, 0], [1, 1, -1], [-1, 1, 1]], dtype=np.float64)
"""Of the three sensors in each state."""
HELD_TOO_LONG = 9
FEWEST_ROWS = NORMAL_ROWS + FAULT_ROWS


@command("bench_cycles")
def main(config: DictConfig) -> None:
    out = Path(setting(config, "out", str))
    write_cases(out, setting(config, "train_rows", int), setting(config, "test_rows", int))
    print(f"{len(CASES)} cases written to {out / SUITE}")


def write_cases(out: Path, train_rows: int, test_rows: int) -> None:
    """Write every case below `out`; raises ConfigurationError for too few rows."""
    for name, rows in (("train_rows", train_rows), ("test_rows", test_rows)):
        if rows <= FEWEST_ROWS:
            raise ConfigurationError(f"{name} is {rows}; more than {FEWEST_ROWS} are needed")
    for seed, (name, (simulate, kinds)) in enumerate(CASES.items()):
        rng = np.random.default_rng([seed, 11])
        fault_N = np.concatenate([np.zeros(train_rows, np.int64), faults(test_rows, kinds, rng)])
        rows_NF = simulate(fault_N, rng)
        rows_NF += NOISE * rng.normal(size=rows_NF.shape)
        frame = pd.DataFrame(rows_NF, columns=["first", "second", "third"])
        frame.insert(0, TIMESTAMP, pd.date_range("2026-01-01", periods=len(frame), freq="s"))
        folder = out / SUITE / name
        folder.mkdir(parents=True, exist_ok=True)
        frame.head(train_rows).to_parquet(folder / TRAIN)
        frame.assign(**{LABEL: (fault_N > 0).astype(np.int64)}).tail(test_rows).to_parquet(
            folder / TEST
        )


def faults(rows: int, kinds: int, rng: np.random.Generator) -> IntArray:
    """The kind of fault in each row, shape (N,): 0 for none, and 1 to `kinds` in turn."""
    fault_N = np.zeros(rows, dtype=np.int64)
    start, kind = NORMAL_ROWS, 0
    while start + FAULT_ROWS <= rows:
        fault_N[start : start + FAULT_ROWS] = kind % kinds + 1
        start += FAULT_ROWS + NORMAL_ROWS + int(rng.integers(MORE_NORMAL_ROWS))
        kind += 1
    return fault_N


def fixed_cycle(fault_N: IntArray, rng: np.random.Generator) -> FloatArray:
    return _cycle(fault_N, np.full(len(fault_N), 1 / CYCLE))


def wandering_cycle(fault_N: IntArray, rng: np.random.Generator) -> FloatArray:
    fresh_N = np.sqrt(1 - MEMORY**2) * rng.normal(size=len(fault_N))
    return _cycle(fault_N, np.exp(WANDER * lfilter([1.0], [1.0, -MEMORY], fresh_N)) / CYCLE)


def _cycle(fault_N: IntArray, speed_N: FloatArray) -> FloatArray:
    """Faults: it runs backwards; the second sensor lags; the first rises and falls evenly, where it
    should rise and drop; each two rows are swapped."""
    turn_N = np.cumsum(speed_N)
    turn_N = np.where(fault_N == 1, -turn_N, turn_N)
    lag_N = np.where(fault_N == 2, 0.12, 0.0)
    saw_N = 2 * (turn_N % 1) - 1
    first_N = np.where(fault_N == 3, 2 * np.abs(saw_N) - 1, saw_N)
    second_N = np.sin(2 * np.pi * (turn_N - lag_N))
    third_N = np.clip(3 * np.sin(2 * np.pi * (turn_N - 0.2)), -1, 1)
    rows_NF = np.stack([first_N, second_N, third_N], axis=1)
    swapped = np.flatnonzero(fault_N == 4)
    rows_NF[swapped] = rows_NF[swapped.reshape(-1, 2)[:, ::-1].ravel()]
    return rows_NF


def pulses(fault_N: IntArray, rng: np.random.Generator) -> FloatArray:
    """Faults: the second sensor is late; the pulse of the first is short; the order of the sensors
    is turned round."""
    rows_NF = np.zeros((len(fault_N) + PULSE_ROWS + 3 * DELAY, 3))
    start = 0
    while start < len(fault_N):
        fault = fault_N[start]
        delay_F = np.array([2, 1, 0] if fault == 3 else [0, 1, 2]) * DELAY
        delay_F[1] += DELAY * (fault == 1)
        decay_F = [FAST_DECAY if fault == 2 else DECAY, DECAY, DECAY]
        height = rng.uniform(0.7, 1.5)
        for sensor in range(3):
            place = start + delay_F[sensor] + np.arange(PULSE_ROWS)
            rows_NF[place, sensor] += height * np.exp(-np.arange(PULSE_ROWS) / decay_F[sensor])
        start += int(rng.integers(5, 16))
    return rows_NF[: len(fault_N)]


def steps(fault_N: IntArray, rng: np.random.Generator) -> FloatArray:
    """Faults: a state is left out; they follow one another backwards; they last too long."""
    rows_NF = np.zeros((len(fault_N), 3))
    start = state = 0
    while start < len(fault_N):
        fault = fault_N[start]
        held = HELD_TOO_LONG if fault == 3 else int(rng.integers(2, 6))
        rows_NF[start : start + held] = LEVELS[state]
        start += held
        state = (state + {1: 2, 2: -1}.get(int(fault), 1)) % len(LEVELS)
    return rows_NF


Simulate = Callable[[IntArray, np.random.Generator], FloatArray]
CASES: dict[str, tuple[Simulate, int]] = {
    "cycle_fixed": (fixed_cycle, 4),
    "cycle_wandering": (wandering_cycle, 4),
    "pulses": (pulses, 3),
    "steps": (steps, 3),
}
"""How each is simulated, and how many kinds of fault it has."""


if __name__ == "__main__":
    main()
