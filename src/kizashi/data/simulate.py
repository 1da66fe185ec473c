"""A simulated press line: the bundled sample data.

Two hidden states, the load and the hall temperature, drive three sensors through smooth,
non-linear equations, so healthy rows lie near a curved two-dimensional surface in the space of
the sensors. Faults push rows off that surface, mostly without leaving any sensor's usual range.
`docs/sample-data.md` tells the story in full: regimes, equations, faults, and the labelling rule.

Shapes: N rows, 3 sensors in the order of `SENSORS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

SENSORS = ("vibration", "current", "sound")
# About the same share of each sensor's spread, so that no sensor drowns the others once scaled.
NOISE = {"vibration": 0.033, "current": 0.010, "sound": 0.023}
# About six noise standard deviations: less than this a technician would not call a change.
TOLERANCE = {"vibration": 0.20, "current": 0.06, "sound": 0.14}

START = "2026-01-05T00:00:00Z"
PERIOD_SECONDS = 30
ROWS_PER_DAY = 24 * 3600 // PERIOD_SECONDS
NORMAL_DAYS = 14
LABELLED_DAYS = 4

# The columns of readings_N3, by name.
VIBRATION, CURRENT, SOUND = range(3)


class PressLineSample(NamedTuple):
    """Normal rows to train on, the labelled days that follow them, and what those days would have
    shown of a healthy machine with healthy sensors, with the same noise.

    `normal` and `healthy` have the columns timestamp (UTC), vibration, current, sound; `labelled`
    has label (1 = a reading is wrong by more than its tolerance) and fault ("" = healthy) besides.
    """

    normal: pd.DataFrame
    labelled: pd.DataFrame
    healthy: pd.DataFrame


@dataclass(frozen=True)
class Regime:
    """What the press is asked to do; loads as shares of the rated load.

    `dwell` is the shortest and longest stay in rows, `job` the half-spread of the set point from
    job to job, `part` the half-spread of the load asked for from part to part within a job.
    """

    dwell: tuple[int, int]
    load: float
    job: float
    part: float


# The spreads are bounded on purpose: no later job lies outside the loads of the earlier ones.
IDLE = Regime(dwell=(14, 30), load=0.11, job=0.02, part=0.05)
RUN = Regime(dwell=(20, 44), load=0.45, job=0.08, part=0.15)
HEAVY_CUT = Regime(dwell=(28, 52), load=0.82, job=0.07, part=0.15)
# A cycle lasts about an hour, so every day meets every regime at every temperature.
CYCLE = (RUN, HEAVY_CUT, RUN, IDLE)


def simulate_press_line(seed: int = 0) -> PressLineSample:
    """Simulate 14 normal days and the 4 labelled days after them, a row every 30 s."""
    line_rng, noise_rng, fault_rng = (
        np.random.Generator(np.random.PCG64(child))
        for child in np.random.SeedSequence(seed).spawn(3)
    )
    days = NORMAL_DAYS + LABELLED_DAYS
    load_N = simulate_load(days * ROWS_PER_DAY, line_rng)
    healthy_N3 = healthy_readings(load_N, simulate_temperature(days, line_rng))
    noise_N3 = noise_rng.normal(0.0, list(NOISE.values()), healthy_N3.shape)

    first = NORMAL_DAYS * ROWS_PER_DAY
    frame = _frame(healthy_N3 + noise_N3)
    healthy = frame.iloc[first:].reset_index(drop=True)
    labelled = _labelled(healthy, load_N[first:], healthy_N3[first:], fault_rng)
    return PressLineSample(frame.iloc[:first].copy(), labelled, healthy)


def write_sample(folder: Path, seed: int = 0) -> None:
    """Write `data.csv` and `labelled.csv` into `folder`: the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = simulate_press_line(seed)
    for name, frame in (("data.csv", sample.normal), ("labelled.csv", sample.labelled)):
        text = frame.to_csv(
            index=False, float_format="%.3f", date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n"
        )
        (folder / name).write_bytes(text.encode())


def healthy_readings(load_N: Floats, temperature_N: Floats) -> Floats:
    """Noise-free readings (N, 3) of a healthy line at a load (0 = none, 1 = rated) and hall °C.

    Vibration grows with load, and chatter sets in between run and heavy cut. The motor draws
    magnetising and torque-producing current at right angles; cold oil is thicker and drags more.
    Sound grows faster than load, and warm oil lets clearances rattle.
    """
    warmth_N = (temperature_N - 24.0) / 4.0
    chatter_N = 1.8 / (1.0 + np.exp(-(load_N - 0.62) / 0.08))
    drag_N = 0.20 * np.exp(-0.40 * warmth_N)
    vibration_N = 0.34 + 1.5 * load_N + chatter_N
    current_N = np.hypot(0.40, drag_N + 1.35 * load_N)
    sound_N = 0.38 + 0.6 * load_N + 2.2 * load_N**2 + 0.18 * warmth_N * (0.5 + load_N)
    return np.column_stack((vibration_N, current_N, sound_N))


def simulate_load(rows: int, rng: np.random.Generator) -> Floats:
    """Load as a share of the rated one, shape (N,): set points of one regime after another,
    approached with a lag of two and a half minutes."""
    asked: list[Floats] = []
    planned = 0
    while planned < rows:
        for regime in CYCLE:
            dwell = int(rng.integers(regime.dwell[0], regime.dwell[1], endpoint=True))
            job = regime.load + rng.uniform(-regime.job, regime.job)
            asked.append(job + rng.uniform(-regime.part, regime.part, dwell))
            planned += dwell
    return _lagged(np.concatenate(asked)[:rows], lag_rows=5.0)


def _lagged(target_N: Floats, lag_rows: float) -> Floats:
    """First-order lag: each row closes the same share of the distance to its target."""
    share = 1.0 - np.exp(-1.0 / lag_rows)
    state = target_N[0]
    lagged_N = np.empty_like(target_N)
    for row, target in enumerate(target_N):
        state += share * (target - state)
        lagged_N[row] = state
    return lagged_N


def simulate_temperature(days: int, rng: np.random.Generator) -> Floats:
    """Hall temperature in °C: a daily cycle, the heating's own shorter one, and mild weather."""
    day_N = np.arange(days * ROWS_PER_DAY) / ROWS_PER_DAY
    weather_N = np.interp(day_N, np.arange(days + 1), rng.uniform(-0.5, 0.5, days + 1))
    daily_N = -3.5 * np.cos(2.0 * np.pi * (day_N - 0.125))
    heating_N = 0.8 * np.sin(2.0 * np.pi * day_N * 24.0 / 1.7)
    return 24.0 + daily_N + heating_N + weather_N


def _frame(readings_N3: Floats) -> pd.DataFrame:
    frame = pd.DataFrame(readings_N3.round(3), columns=list(SENSORS))
    timestamps = pd.date_range(START, periods=len(frame), freq=f"{PERIOD_SECONDS}s")
    frame.insert(0, "timestamp", timestamps)
    return frame


class Episode(NamedTuple):
    """One occurrence of a fault: rows `start` to `stop` - 1; a `strength` of 1 is typical."""

    fault: str
    start: int
    stop: int
    strength: float


def _bearing_wear(healthy_N3: Floats, load_N: Floats, strength: float) -> Floats:
    """Damage feeds on itself: the extra vibration grows with the square of time."""
    growth_N = strength * np.linspace(0.0, 1.0, len(load_N)) ** 2
    added_N3 = np.zeros_like(healthy_N3)
    added_N3[:, VIBRATION] = growth_N * (0.75 + 2.00 * load_N)
    added_N3[:, SOUND] = growth_N * 0.15
    return added_N3


def _overload(healthy_N3: Floats, load_N: Floats, strength: float) -> Floats:
    """A jammed die: more torque and a duller, louder press, which shakes a little less."""
    share_N3: Floats = strength * load_N[:, None] * np.array([-0.10, 0.65, 0.40])
    return healthy_N3 * share_N3


def _looseness(healthy_N3: Floats, load_N: Floats, strength: float) -> Floats:
    """Loose holding-down bolts: the frame shakes and rattles as soon as it is worked."""
    working_N = np.clip((load_N - 0.15) / 0.20, 0.0, 1.0)
    share_N3: Floats = strength * working_N[:, None] * np.array([0.45, 0.0, 0.15])
    return healthy_N3 * share_N3


def _lubrication_loss(healthy_N3: Floats, load_N: Floats, strength: float) -> Floats:
    """The film thins over half an hour, then metal rubs: friction current and a higher sound."""
    dry_N = strength * np.clip(np.arange(len(load_N)) / 60.0, 0.0, 1.0)
    added_N3 = np.zeros_like(healthy_N3)
    added_N3[:, CURRENT] = dry_N * (0.18 + 0.32 * load_N)
    added_N3[:, SOUND] = dry_N * (0.30 + 0.65 * load_N)
    return added_N3


# Fault -> what it adds to the healthy readings (N, 3), given the load and its strength.
EFFECTS: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "bearing_wear": _bearing_wear,
    "overload": _overload,
    "looseness": _looseness,
    "lubrication_loss": _lubrication_loss,
}
STUCK_SENSOR = "stuck_sensor"
# Fault -> typical duration in rows: two hours of wear, forty minutes of overload, ...
DURATION = {
    "bearing_wear": 240,
    "overload": 80,
    "looseness": 90,
    STUCK_SENSOR: 100,
    "lubrication_loss": 140,
}


def _labelled(
    healthy_rows: pd.DataFrame, load_N: Floats, healthy_N3: Floats, rng: np.random.Generator
) -> pd.DataFrame:
    shown_N3 = healthy_rows[list(SENSORS)].to_numpy()
    read_N3 = shown_N3.copy()
    fault_N = np.full(len(shown_N3), "", dtype=object)
    # Starts anywhere, so that the stuck sensors are spread evenly over the three.
    stuck = int(rng.integers(3))
    for fault, start, stop, strength in _episodes(rng):
        rows = slice(start, stop)
        fault_N[rows] = fault
        if fault == STUCK_SENSOR:
            read_N3[rows, stuck] = shown_N3[start, stuck]
            stuck = (stuck + 1) % 3
        else:
            read_N3[rows] += EFFECTS[fault](healthy_N3[rows], load_N[rows], strength).round(3)
    labelled = healthy_rows.copy()
    labelled[list(SENSORS)] = read_N3.round(3)
    moved_N3 = np.abs(read_N3 - shown_N3) > np.array(list(TOLERANCE.values()))
    labelled["label"] = moved_N3.any(axis=1).astype(np.int64)
    labelled["fault"] = pd.Series(fault_N, dtype="str")
    return labelled


def _episodes(rng: np.random.Generator) -> list[Episode]:
    """Each fault once a day, at another time of each day, with healthy rows around it."""
    order = rng.permutation(list(DURATION))
    episodes = []
    for day in range(LABELLED_DAYS):
        # A Latin square: no fault keeps its place in the day.
        faults = [str(fault) for fault in np.roll(order, day)]
        durations = [round(DURATION[fault] * rng.uniform(0.85, 1.15)) for fault in faults]
        healthy = ROWS_PER_DAY - sum(durations)
        gaps = rng.dirichlet(np.full(len(faults) + 1, 4.0)) * healthy
        row = float(day * ROWS_PER_DAY)
        for fault, duration, gap in zip(faults, durations, gaps[:-1], strict=True):
            start = int(row + gap)
            episodes.append(Episode(fault, start, start + duration, rng.uniform(0.85, 1.15)))
            row = start + duration
    return episodes
