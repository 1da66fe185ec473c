import numpy as np
import pytest

from kizashi.evaluation.sensor_limits import SensorLimits


@pytest.mark.parametrize("false_alarm_rate", [0.001, 0.01, 0.1])
def test_limits_flag_about_the_asked_share_of_independent_normal_rows(
    false_alarm_rate: float,
) -> None:
    rng = np.random.default_rng(0)
    limits = SensorLimits.fit(rng.normal(size=(100_000, 3)), false_alarm_rate)
    flagged = limits.exceeded(rng.normal(size=(100_000, 3))).mean()
    # The union of limits is at most the sum of their shares, and close to it; among 100,000 rows
    # the smallest of these rates is known to a tenth of itself on either side.
    assert 0.6 * false_alarm_rate < flagged < 1.4 * false_alarm_rate


def test_a_row_is_flagged_by_any_sensor_on_either_side_and_not_at_the_limit() -> None:
    limits = SensorLimits(np.array([0.0, -1.0]), np.array([1.0, 1.0]))
    rows_NF = np.array([[0.0, 1.0], [0.5, 0.0], [1.1, 0.0], [0.5, -1.1]])
    assert limits.exceeded(rows_NF).tolist() == [False, False, True, True]
