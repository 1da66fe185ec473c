import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizashi.errors import BundleError, ConfigurationError, DataError, NotCalibrated
from kizashi.evaluation.metrics import false_alarm_band
from kizashi.runtime.thresholds import (
    THRESHOLDS,
    AutoThreshold,
    BlocksThreshold,
    ConformalThreshold,
    LabelledThreshold,
    MadThreshold,
    PotThreshold,
    QuantileThreshold,
    Threshold,
)
from tests.scores import with_labels

every_threshold = pytest.mark.parametrize("kind", THRESHOLDS)
SCORES = np.random.default_rng(0).exponential(size=5000)
EVIDENCE = with_labels(SCORES)


@every_threshold
def test_a_rule_says_what_it_promises_and_from_how_many_rows(kind: str) -> None:
    threshold = THRESHOLDS[kind]().fit(EVIDENCE)
    assert math.isfinite(threshold.value)
    assert threshold.value > np.median(SCORES)
    assert threshold.calibration_rows == 5000
    assert "5000 calibration rows" in threshold.guarantee
    assert threshold.warning == ""


@every_threshold
def test_the_order_of_calibration_rows_without_a_time_does_not_matter(kind: str) -> None:
    backwards = THRESHOLDS[kind]().fit(replace(EVIDENCE, scores=SCORES[::-1]))
    assert backwards.value == THRESHOLDS[kind]().fit(EVIDENCE).value


@every_threshold
def test_a_threshold_that_aims_at_a_rate_meets_it_on_its_own_calibration_rows(kind: str) -> None:
    threshold = THRESHOLDS[kind]().fit(EVIDENCE)
    if threshold.false_alarm_rate is not None:
        # A fitted tail does not follow its highest scores exactly.
        room = 1.5 if kind == "pot" else 1
        assert (threshold.value < SCORES).mean() <= room * threshold.false_alarm_rate


@every_threshold
def test_a_stored_threshold_is_the_same(kind: str) -> None:
    threshold = THRESHOLDS[kind]().fit(EVIDENCE)
    restored = Threshold.from_dict(threshold.to_dict())
    assert type(restored) is type(threshold)
    assert restored.to_dict() == threshold.to_dict()


@every_threshold
def test_a_threshold_without_calibration_has_no_value(kind: str) -> None:
    message = f"^threshold '{kind}' has not been calibrated$"
    with pytest.raises(NotCalibrated, match=message):
        _ = THRESHOLDS[kind]().value
    with pytest.raises(NotCalibrated, match=message):
        THRESHOLDS[kind]().to_dict()


@every_threshold
def test_no_calibration_rows_are_an_error(kind: str) -> None:
    message = f"^threshold '{kind}' has no calibration rows to be fitted on$"
    with pytest.raises(DataError, match=message):
        THRESHOLDS[kind]().fit(np.array([]))


@every_threshold
@pytest.mark.parametrize("value", [None, "1.5", True, math.nan, math.inf])
def test_a_stored_value_that_is_no_number_is_not_calibrated(kind: str, value: object) -> None:
    stored = THRESHOLDS[kind]().fit(EVIDENCE).to_dict() | {"value": value}
    with pytest.raises(NotCalibrated, match=r"^the stored threshold is .*; a number is needed$"):
        Threshold.from_dict(stored)


@pytest.mark.parametrize("stored", [{}, {"kind": "pickle.loads"}])
def test_an_unknown_kind_is_refused_with_those_known(stored: dict[str, str]) -> None:
    message = "^threshold kind is .*; known are conformal, quantile, mad, pot"
    with pytest.raises(BundleError, match=message):
        Threshold.from_dict(stored)


@pytest.mark.parametrize(
    ("rows", "alpha", "rank"),
    [
        (9, 0.1, 9),  # (9 + 1) * 0.9 = 9: the largest
        (10, 0.1, 10),  # 9.9 -> 10
        (19, 0.1, 18),
        (20, 0.1, 19),
        (99, 0.01, 99),
        (999, 0.001, 999),  # 1000 * 0.999 = 999.0000000000001 in floating point
        (1999, 0.001, 1998),
        (3, 0.5, 2),
        (1, 0.5, 1),
    ],
)
def test_the_conformal_threshold_is_the_calibration_score_of_the_rank_worked_out_by_hand(
    rows: int, alpha: float, rank: int
) -> None:
    scores = np.arange(1, rows + 1, dtype=float)
    threshold = ConformalThreshold(alpha).fit(scores)
    assert threshold.value == rank
    assert threshold.warning == ""


def test_an_alpha_close_to_1_gives_the_smallest_score_not_the_largest() -> None:
    assert ConformalThreshold(1 - 1e-12).fit(np.arange(1.0, 10.0)).value == 1


@pytest.mark.parametrize(("rows", "alpha", "needed"), [(998, 0.001, 999), (8, 0.1, 9)])
def test_too_few_rows_for_alpha_name_the_fallback_and_what_is_needed(
    rows: int, alpha: float, needed: int
) -> None:
    scores = np.random.default_rng(0).exponential(size=rows)
    threshold = ConformalThreshold(alpha).fit(scores)
    assert f"at {alpha:.4%} needs at least {needed} calibration rows" in threshold.warning
    assert f"there are {rows}; the fallback 'exponential tail' is used" in threshold.warning
    assert threshold.guarantee.startswith("none: exponential tail")
    assert threshold.false_alarm_rate == alpha
    enough = ConformalThreshold(alpha).fit(np.append(scores, 0.1))
    assert enough.warning == ""


@given(st.integers(1, 500), st.floats(1e-6, 0.5))
def test_the_fallback_begins_exactly_below_the_rows_that_the_rule_needs(
    rows: int, alpha: float
) -> None:
    threshold = ConformalThreshold(alpha).fit(np.linspace(1, 2, rows))
    margin = (rows + 1) * alpha
    if abs(margin - 1) > 1e-6:
        assert bool(threshold.warning) == (margin < 1)
    assert math.isfinite(threshold.value)


def test_the_fallback_lies_beyond_the_calibration_scores_near_the_true_quantile() -> None:
    scores = np.random.default_rng(1).exponential(size=300)
    threshold = ConformalThreshold(1e-4).fit(scores)
    assert threshold.value > scores.max()
    assert threshold.value == pytest.approx(np.log(1e4), rel=0.35)


def test_conformal_coverage_is_at_least_what_was_asked_for() -> None:
    rng = np.random.default_rng(2)
    alpha, rows, trials = 0.1, 50, 4000
    scores = np.sort(rng.lognormal(size=(trials, rows)), axis=1)
    new = rng.lognormal(size=trials)
    values = [ConformalThreshold(alpha).fit(calibration).value for calibration in scores]
    exceeded = float(np.mean(new > np.array(values)))
    # The exact rate is (51 - 46) / 51 = 9.8 %; 4000 trials know it to 0.5 % (one deviation).
    assert exceeded == pytest.approx(5 / 51, abs=0.015)


@pytest.mark.parametrize(
    ("alarms_per_day", "sampling_period", "alpha"),
    [(1, 1, 1 / 86_400), (86.4, 1, 0.001), (24, 60, 24 / 1440), (1, 3600, 1 / 24)],
)
def test_alarms_per_day_become_a_rate_per_row(
    alarms_per_day: float, sampling_period: float, alpha: float
) -> None:
    threshold = ConformalThreshold(None, alarms_per_day, sampling_period)
    assert threshold.false_alarm_rate == pytest.approx(alpha)


def test_without_a_target_one_normal_row_in_a_thousand_may_be_an_alarm() -> None:
    assert ConformalThreshold().false_alarm_rate == 0.001


def test_two_targets_are_refused() -> None:
    message = "^alpha is 0.01 beside alarms_per_day 24 and sampling_period 60; one target is needed"
    with pytest.raises(ConfigurationError, match=message):
        ConformalThreshold(0.01, alarms_per_day=24, sampling_period=60)
    with pytest.raises(ConfigurationError, match=r"one target is needed$"):
        ConformalThreshold(0.01, sampling_period=60)


def test_a_sampling_period_alone_is_refused() -> None:
    message = "^alarms_per_day is None; sampling_period needs the alarms a day that are accepted$"
    with pytest.raises(ConfigurationError, match=message):
        ConformalThreshold(sampling_period=30)


@pytest.mark.parametrize(
    "threshold",
    [
        ConformalThreshold(0.2),
        ConformalThreshold(None, 24, 60),
        QuantileThreshold(0.5),
        MadThreshold(1.0),
        PotThreshold(0.002),
        BlocksThreshold(0.02, confidence=0.7),
        LabelledThreshold(0.01, beta=2.0),
        LabelledThreshold(0.01, false_alarm_cost=1.0, miss_cost=5.0),
        AutoThreshold(0.01, labels=False),
    ],
)
def test_a_stored_threshold_fits_again_by_its_own_settings(threshold: Threshold) -> None:
    restored = Threshold.from_dict(threshold.fit(EVIDENCE).to_dict())
    assert restored.to_dict() == threshold.to_dict()
    other = with_labels(np.random.default_rng(5).exponential(size=700))
    assert restored.fit(other).to_dict() == threshold.fit(other).to_dict()


def test_fitting_again_on_enough_rows_takes_an_old_warning_back() -> None:
    threshold = ConformalThreshold(0.01).fit(SCORES[:50])
    assert threshold.warning
    threshold.fit(SCORES)
    assert threshold.warning == ""
    assert threshold.guarantee.startswith("at most 1.0000% ")


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, math.nan])
def test_an_alpha_that_is_no_rate_is_refused(alpha: float) -> None:
    message = f"^the false alarm rate alpha is {alpha!r}; a number between 0 and 1 is needed$"
    with pytest.raises(ConfigurationError, match=message):
        ConformalThreshold(alpha)


@pytest.mark.parametrize("sampling_period", [None, 0, -1, math.nan, math.inf])
def test_alarms_per_day_need_a_sampling_period(sampling_period: float | None) -> None:
    message = f"^sampling_period is {sampling_period!r}; alarms_per_day needs the seconds"
    with pytest.raises(ConfigurationError, match=message):
        ConformalThreshold(alarms_per_day=1, sampling_period=sampling_period)


@pytest.mark.parametrize(
    ("alarms_per_day", "sampling_period", "rows"),
    [(-1, 1, 86400), (0, 30, 2880), (99_999, 30, 2880), (2, 86_400, 1), (math.nan, 60, 1440)],
)
def test_alarms_per_day_beyond_the_rows_of_a_day_are_refused(
    alarms_per_day: float, sampling_period: float, rows: int
) -> None:
    message = (
        f"^alarms_per_day is {alarms_per_day!r}; with one row every {sampling_period} s a number "
        f"above 0 and below {rows}, the rows of a day, is needed$"
    )
    with pytest.raises(ConfigurationError, match=message):
        ConformalThreshold(alarms_per_day=alarms_per_day, sampling_period=sampling_period)


def test_alarms_per_day_that_leave_no_tail_are_named_as_they_were_given() -> None:
    message = (
        "^alarms_per_day is 1440, a false alarm rate of 0.5 with one row every 30 s; peaks over "
        "threshold need at most 0.2"
    )
    with pytest.raises(ConfigurationError, match=message):
        PotThreshold(alarms_per_day=1440, sampling_period=30)


@pytest.mark.parametrize("alpha", [0.1, 0.05, 0.01])
@pytest.mark.parametrize("rows", [500, 2000])
def test_conformal_false_alarms_fall_into_the_band_of_their_law(alpha: float, rows: int) -> None:
    """99.9 % of them do: of 300 draws more than four outside would be one in ten thousand."""
    rng = np.random.default_rng(6)
    low, high = false_alarm_band(rows, 1000, alpha, coverage=0.999)
    scores, new = rng.gumbel(size=(300, rows)), rng.gumbel(size=(300, 1000))
    values = np.array([ConformalThreshold(alpha).fit(row).value for row in scores])
    rates = (new > values[:, None]).mean(axis=1)
    assert ((rates < low) | (rates > high)).sum() <= 4
    assert rates.mean() == pytest.approx(alpha, rel=0.1)


@pytest.mark.parametrize("quantile", [0, 1, -1, 2, math.nan])
def test_a_quantile_outside_0_and_1_is_refused(quantile: float) -> None:
    message = f"^the quantile is {quantile!r}; a number between 0 and 1 is needed$"
    with pytest.raises(ConfigurationError, match=message):
        QuantileThreshold(quantile)


@pytest.mark.parametrize("deviations", [0, -3, math.nan, math.inf])
def test_deviations_must_be_above_0(deviations: float) -> None:
    message = f"^deviations is {deviations!r}; a finite number above 0 is needed$"
    with pytest.raises(ConfigurationError, match=message):
        MadThreshold(deviations)


def test_the_quantile_is_a_calibration_score_with_its_share_at_or_below_it() -> None:
    scores = np.arange(1.0, 101.0)
    threshold = QuantileThreshold(0.95).fit(scores)
    assert threshold.value == 96  # (100 - 1) * 0.95 = 94.05: the next score up, counted from 0
    assert threshold.false_alarm_rate == pytest.approx(0.05)


def test_the_mad_rule_is_median_plus_robust_deviations() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    threshold = MadThreshold(2.0).fit(scores)
    assert threshold.value == pytest.approx(3 + 2 * 1.4826 * 1)
    assert threshold.false_alarm_rate is None
    assert threshold.guarantee.startswith("none: ")
