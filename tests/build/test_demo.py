"""The line of `make demo` and its alarm rules belong together."""

from itertools import islice
from pathlib import Path

import numpy as np

from kizashi.data.line import LINE, ROUND_ROWS
from serving.alarms.rules import Rules, read_rules
from serving.history.quality import Quality

RULES = Path(__file__).parents[2] / "deploy" / "demo-rules.yaml"


def stuck_rows(name: str, rules: Rules) -> list[int]:
    """The rows of the first round in which a sensor of the machine counts as stuck."""
    [machine] = [machine for machine in LINE if machine.name == name]
    rows = [row for row in islice(machine.rows(), ROUND_ROWS) if row is not None]
    values_NF = np.array([list(row.values()) for row in rows], dtype=np.float64)
    quality, most = Quality.read(None, values_NF.shape[1]), rules.of(name).data_quality.stuck
    found = [quality.stuck(row_F[None], most).any() for row_F in values_NF]
    return np.flatnonzero(found).tolist()


def test_the_stuck_sensor_of_the_demo_counts_as_stuck_in_its_first_round() -> None:
    [stuck] = [
        trouble
        for machine in LINE
        if machine.name == "press-03"
        for trouble in machine.troubles
        if trouble.kind == "stuck"
    ]
    found = stuck_rows("press-03", read_rules(RULES))
    assert len(found) > 30
    assert stuck.start < found[0] and found[-1] < stuck.stop
    assert stuck_rows("press-03", Rules()) == []  # which is why the demo has rules of its own
    assert stuck_rows("press-01", read_rules(RULES)) == []
