from itertools import islice

import numpy as np
import pytest

from kizashi.data.line import BEYOND_INSTRUMENT, LINE, ROUND_ROWS, Machine, Reading, Trouble
from kizashi.data.simulate import EFFECTS, SENSORS

HEALTHY = Machine("press-00", 7)


def readings(machine: Machine, rows: int = ROUND_ROWS) -> list[Reading | None]:
    return list(islice(machine.rows(), rows))


def with_trouble(trouble: Trouble) -> list[Reading | None]:
    return readings(Machine("press-00", 7, (trouble,)))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert readings(HEALTHY, 400) == readings(Machine("other-name", 7), 400)
    assert readings(HEALTHY) != readings(Machine("press-00", 8))


def test_a_machine_never_ends_and_no_two_rounds_are_alike() -> None:
    rows = readings(HEALTHY, 2 * ROUND_ROWS + 1)
    assert len(rows) == 2 * ROUND_ROWS + 1
    assert rows[:ROUND_ROWS] != rows[ROUND_ROWS : 2 * ROUND_ROWS]


def test_a_healthy_machine_always_sends_every_sensor() -> None:
    assert all(row is not None and set(row) == set(SENSORS) for row in readings(HEALTHY))


@pytest.mark.parametrize("fault", EFFECTS)
def test_a_fault_changes_the_rows_of_its_time_and_no_others(fault: str) -> None:
    rows = with_trouble(Trouble(fault, 100, 200))
    changed = [row != healthy for row, healthy in zip(rows, readings(HEALTHY), strict=True)]
    assert any(changed[100:200])
    assert not any(changed[:100] + changed[200:])


def test_a_stuck_sensor_repeats_its_value_while_the_others_move() -> None:
    rows = [row for row in with_trouble(Trouble("stuck", 100, 200, 1))[100:200] if row is not None]
    assert len({row["current"] for row in rows}) == 1
    assert len({row["vibration"] for row in rows}) > 50


def test_a_missing_sensor_is_none_and_a_silent_machine_sends_nothing() -> None:
    rows = with_trouble(Trouble("missing", 10, 12, 2))
    assert [row is not None and row["sound"] is None for row in rows[9:13]] == [
        False,
        True,
        True,
        False,
    ]
    assert [row is None for row in with_trouble(Trouble("silent", 10, 12))[9:13]] == [
        False,
        True,
        True,
        False,
    ]


def test_a_reading_can_lie_beyond_the_instrument() -> None:
    row = with_trouble(Trouble("beyond", 10, 12))[10]
    assert row is not None
    assert row["vibration"] == BEYOND_INSTRUMENT


def test_the_first_fault_comes_soon_after_the_warm_up_and_lasts() -> None:
    first = min((t for machine in LINE for t in machine.troubles), key=lambda t: t.start)
    assert first.kind in EFFECTS
    assert 10 < first.start <= 20 and first.stop - first.start >= 60


def test_the_line_has_six_machines_and_within_two_minutes_most_are_in_trouble() -> None:
    assert len({machine.name for machine in LINE}) == len({machine.seed for machine in LINE}) == 6
    troubled = [machine for machine in LINE if any(t.start < 120 for t in machine.troubles)]
    assert len(troubled) == 5
    for machine in LINE:
        assert all(0 <= t.start < t.stop <= ROUND_ROWS for t in machine.troubles)
        sent = [row for row in readings(machine) if row is not None]
        numbers = [value for row in sent for value in row.values() if value is not None]
        assert np.isfinite(numbers).all()
