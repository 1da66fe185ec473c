"""Which rows are late: they take their own time's place in history, and touch no alarm."""

import numpy as np

from serving.history.record import TOLERANCE, BoolArray, IntArray


def late(newest: int, on_time: int, time_N: IntArray, arrived_N: IntArray) -> BoolArray:
    """Which of a source's rows, in the order of arrival, are late, shape (N,).

    Late is a row that is older than the newest one before it by more than the tolerance. Where
    nothing but late rows has arrived for as long, the source's clock was put back: its time is
    believed again, since a machine whose alarms stay silent is worse than one that is out of order.
    Where this machine's own clock was put back, which arrivals before the last one show, it is too.
    """
    highest_N = np.maximum.accumulate(np.concatenate([[newest], time_N]))[:-1]
    late_N: BoolArray = time_N < highest_N - TOLERANCE
    if not late_N.any():
        return late_N
    for index in range(len(time_N)):
        time, arrived = int(time_N[index]), int(arrived_N[index])
        late_N[index] = time < newest - TOLERANCE and abs(arrived - on_time) <= TOLERANCE
        if not late_N[index]:
            newest = time if time < newest - TOLERANCE else max(newest, time)
            on_time = arrived
    return late_N
