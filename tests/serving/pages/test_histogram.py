import numpy as np
import pytest

from serving.pages.histogram import draw_histogram, round_steps
from serving.pages.numbers import percent, short

SCORES = np.abs(np.random.default_rng(1).normal(0, 1, 5000))


def test_every_calibration_row_is_in_a_bar_or_counted_as_outside() -> None:
    scores = np.append(SCORES, [50.0, 60.0])
    drawn = draw_histogram(scores, threshold=3.0)
    assert drawn.rows_outside == 2
    assert sum(bar.rows for bar in drawn.bars) == len(scores) - 2


@pytest.mark.parametrize("threshold", [0.5, 3.0, 20.0])
def test_threshold_and_bars_lie_within_the_drawing(threshold: float) -> None:
    drawn = draw_histogram(SCORES, threshold)
    assert 0 < drawn.threshold_at < 100
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.001 for bar in drawn.bars)
    assert all(bar.y >= 0 and bar.y + bar.height == pytest.approx(100) for bar in drawn.bars)
    assert all(0 <= tick.at <= 100 for tick in drawn.score_ticks + drawn.count_ticks)


def test_a_bar_of_one_row_can_be_seen() -> None:
    drawn = draw_histogram(np.append(np.full(10_000, 0.5), 2.9), threshold=3.0)
    assert min(bar.height for bar in drawn.bars) > 5


def test_bars_right_of_the_threshold_are_marked() -> None:
    drawn = draw_histogram(SCORES, threshold=2.0)
    assert {bar.beyond for bar in drawn.bars if bar.x + bar.width < drawn.threshold_at} == {False}
    assert {bar.beyond for bar in drawn.bars if bar.x > drawn.threshold_at} == {True}
    assert drawn.rows_above == int(np.sum(SCORES > 2.0))


def test_scores_that_are_all_zero_can_be_drawn() -> None:
    drawn = draw_histogram(np.zeros(10), threshold=0.0)
    assert [bar.rows for bar in drawn.bars] == [10]


def test_steps_are_round_and_reach_the_end() -> None:
    assert round_steps(1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert round_steps(37.0) == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.074628, "0.07463"), (12.0, "12"), (12400.4, "12,400"), (-3.5, "-3.5")],
)
def test_numbers_have_four_digits_at_most_and_no_needless_ones(value: float, text: str) -> None:
    assert short(value) == text


def test_small_shares_keep_their_digits() -> None:
    assert percent(0.001) == "0.1 %"
    assert percent(0.999) == "99.9 %"
