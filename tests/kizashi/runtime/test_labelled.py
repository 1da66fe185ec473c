import numpy as np
import pytest

from kizashi.errors import ConfigurationError, DataError
from kizashi.runtime.thresholds import (
    BlocksThreshold,
    CalibrationScores,
    ConformalThreshold,
    LabelledThreshold,
)

NORMAL = np.random.default_rng(0).uniform(0, 1, 5000)


def evidence(normal: list[float], faulty: list[float]) -> CalibrationScores:
    scores = np.array([*normal, *faulty])
    return CalibrationScores(
        NORMAL, labelled_scores=scores, labels=np.arange(len(scores)) >= len(normal)
    )


MIXED = evidence([0.2, 0.5, 2.0, 3.0, 4.0], [3.5, 5.0, 6.0, 7.0])


@pytest.mark.parametrize(("beta", "value"), [(0.1, 4.0), (1.0, 3.0), (5.0, 3.0)])
def test_the_threshold_with_the_best_f_beta_is_taken(beta: float, value: float) -> None:
    """Above 4 it finds three of four without a false alarm, above 3 all of them with one."""
    assert LabelledThreshold(0.1, beta=beta).fit(MIXED).value == value


def test_costs_weigh_a_miss_against_a_false_alarm() -> None:
    dear_alarms = LabelledThreshold(0.1, false_alarm_cost=2.0, miss_cost=1.0).fit(MIXED)
    dear_misses = LabelledThreshold(0.1, false_alarm_cost=1.0, miss_cost=2.0).fit(MIXED)
    assert (dear_alarms.value, dear_misses.value) == (4.0, 3.0)
    assert "the lowest cost (2 a false alarm, 1 a miss)" in dear_alarms.guarantee


def test_no_choice_goes_below_the_ceiling_of_false_alarms() -> None:
    low_faults = evidence([0.1] * 20, [0.5] * 20)  # the best F1 would be at 0.1
    ceiling = ConformalThreshold(0.05).fit(NORMAL).value
    assert LabelledThreshold(0.05).fit(low_faults).value == ceiling > 0.9


def test_where_rows_depend_on_one_another_the_ceiling_has_the_margin_of_blocks() -> None:
    wandering = np.cumsum(np.random.default_rng(1).normal(size=(50, 100)), axis=1).ravel()
    wandering -= wandering.min()
    labels = np.array([False] * 30 + [True] * 30)
    scores = np.where(labels, 1.0, 0.5)

    def value(rule: type[ConformalThreshold | BlocksThreshold | LabelledThreshold]) -> float:
        given = CalibrationScores(wandering, in_time=True, labelled_scores=scores, labels=labels)
        return rule(0.05).fit(given).value

    assert value(LabelledThreshold) == value(BlocksThreshold) > value(ConformalThreshold)


def test_of_equal_choices_the_lowest_finds_most() -> None:
    threshold = LabelledThreshold(0.05).fit(evidence([0.1, 0.2], [5.0, 6.0]))
    assert threshold.value == ConformalThreshold(0.05).fit(NORMAL).value


def test_what_was_chosen_is_told_with_its_numbers() -> None:
    threshold = LabelledThreshold(0.1).fit(MIXED)
    assert threshold.details["found"] == 4
    assert threshold.details["false_alarms"] == 1
    assert threshold.details["f_beta"] == pytest.approx(8 / 9)
    assert "finds 4 of 4 faulty and flags 1 of 5 normal labelled rows" in threshold.guarantee
    assert threshold.guarantee.startswith("at most 10.0000% of exchangeable normal rows")


@pytest.mark.parametrize(
    ("given", "have"),
    [
        (CalibrationScores(NORMAL), "none"),
        (evidence([], []), "none"),
        (evidence([1.0], []), "0 faulty and 1 normal ones"),
        (evidence([], [1.0, 2.0]), "2 faulty and 0 normal ones"),
    ],
)
def test_without_both_labels_there_is_nothing_to_choose_by(
    given: CalibrationScores, have: str
) -> None:
    message = f"needs labelled rows, faulty and normal ones, and there are {have}; give data.label"
    with pytest.raises(DataError, match=message):
        LabelledThreshold().fit(given)


def test_scores_without_their_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"^there are 3 labelled scores and None labels$"):
        CalibrationScores(NORMAL, labelled_scores=np.ones(3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.0}, "beta is 0.0; a finite number above 0 is needed"),
        ({"miss_cost": -1.0, "false_alarm_cost": 1.0}, "miss_cost is -1.0; a finite"),
        ({"miss_cost": 1.0}, "false_alarm_cost is None and miss_cost is 1.0; both are needed"),
        (
            {"beta": 1.0, "miss_cost": 1.0, "false_alarm_cost": 1.0},
            "beta is 1.0 beside false_alarm_cost and miss_cost; one target is needed",
        ),
    ],
)
def test_weights_that_cannot_be_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        LabelledThreshold(**settings)
