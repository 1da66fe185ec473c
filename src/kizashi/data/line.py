"""A simulated line of six presses, row by row, which develop faults while one watches.

Each is the press of `kizashi.data.simulate` with a load and a seed of its own. What befalls it
repeats every ROUND_ROWS rows, so that a line which runs for hours always has something to show.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from kizashi.data.simulate import (
    CURRENT,
    EFFECTS,
    NOISE,
    ROWS_PER_DAY,
    SENSORS,
    SOUND,
    VIBRATION,
    Floats,
    healthy_readings,
    simulate_load,
    simulate_temperature,
)

Reading = dict[str, float | None]
"""One row by sensor name; None is a missing value."""

ROUND_ROWS = 360
BEYOND_INSTRUMENT = 25.0
"""A reading in mm/s that no working vibration sensor of the press line gives."""


@dataclass(frozen=True)
class Trouble:
    """What befalls a machine in rows `start` to `stop` - 1 of each round: one of the faults of
    `kizashi.data.simulate`, or `stuck`, `missing` or `beyond` for one `sensor`, or `silent`."""

    kind: str
    start: int
    stop: int
    sensor: int = VIBRATION


@dataclass(frozen=True)
class Machine:
    """One press of the line."""

    name: str
    seed: int
    troubles: tuple[Trouble, ...] = ()

    def rows(self) -> Iterator[Reading | None]:
        """Readings for ever; None where the machine sends nothing. The same seed, the same rows."""
        for number in count():
            rng = np.random.default_rng([self.seed, number])
            yield from self._round(rng)

    def _round(self, rng: np.random.Generator) -> Iterator[Reading | None]:
        # Somewhere in a simulated day: it starts in another regime each round.
        first = int(rng.integers(ROWS_PER_DAY - ROUND_ROWS))
        rows = slice(first, first + ROUND_ROWS)
        load_N = simulate_load(ROWS_PER_DAY, rng)[rows]
        healthy_N3 = healthy_readings(load_N, simulate_temperature(1, rng)[rows])
        noise_N3 = rng.normal(0.0, list(NOISE.values()), healthy_N3.shape)
        read_N3 = healthy_N3 + noise_N3
        silent_N = np.zeros(ROUND_ROWS, dtype=np.bool_)
        for trouble in self.troubles:
            part = slice(trouble.start, trouble.stop)
            if trouble.kind == "silent":
                silent_N[part] = True
            else:
                _befall(trouble, read_N3[part], healthy_N3[part], load_N[part])
        for silent, row in zip(silent_N, read_N3.round(3).tolist(), strict=True):
            values = (None if np.isnan(value) else value for value in row)
            yield None if silent else dict(zip(SENSORS, values, strict=True))


def _befall(trouble: Trouble, read_N3: Floats, healthy_N3: Floats, load_N: Floats) -> None:
    """Let the trouble change what the sensors read."""
    if trouble.kind == "stuck":
        read_N3[:, trouble.sensor] = read_N3[0, trouble.sensor]
    elif trouble.kind == "missing":
        read_N3[:, trouble.sensor] = np.nan
    elif trouble.kind == "beyond":
        read_N3[:, trouble.sensor] = BEYOND_INSTRUMENT
    else:
        read_N3 += EFFECTS[trouble.kind](healthy_N3, load_N, 1.0)


LINE = (
    Machine("press-01", 1),
    Machine("press-02", 2, (Trouble("bearing_wear", 30, 220),)),
    Machine("press-03", 3, (Trouble("looseness", 60, 150), Trouble("stuck", 230, 330, CURRENT))),
    Machine("press-04", 4, (Trouble("overload", 15, 105), Trouble("missing", 200, 240, SOUND))),
    Machine("press-05", 5, (Trouble("silent", 70, 200),)),
    Machine(
        "press-06", 6, (Trouble("beyond", 50, 54, VIBRATION), Trouble("lubrication_loss", 90, 300))
    ),
)
"""One stays healthy: what an untroubled machine looks like is worth seeing beside the others. The
first fault comes soon after the warm-up of a new source, as whoever starts a demo is watching."""
