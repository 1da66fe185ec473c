import numpy as np
import pytest
from scipy.stats import expon, genpareto, norm

from kizashi.errors import ConfigurationError
from kizashi.runtime.thresholds import PotThreshold
from kizashi.runtime.thresholds.pareto import ParetoLaw

LAWS = {
    "exponential": expon(),
    "heavy": genpareto(0.3),
    "bounded": genpareto(-0.3),
    "uniform": genpareto(-1),
    "normal": norm(),
}
every_law = pytest.mark.parametrize("name", LAWS)


def fitted(name: str, rows: int, alpha: float, seed: int) -> PotThreshold:
    scores = LAWS[name].rvs(rows, random_state=seed)
    return PotThreshold(alpha).fit(np.asarray(scores))


@every_law
def test_the_rate_beyond_the_threshold_is_near_the_one_asked_for(name: str) -> None:
    """Ten times further out than 2000 rows reach by counting."""
    rates = [float(LAWS[name].sf(fitted(name, 2000, 5e-4, seed).value)) for seed in range(30)]
    assert 2e-4 < np.mean(rates) < 9e-4


@every_law
def test_with_fewer_rows_than_a_conformal_threshold_needs_the_rate_is_still_of_its_order(
    name: str,
) -> None:
    rates = [float(LAWS[name].sf(fitted(name, 400, 1e-3, seed).value)) for seed in range(30)]
    assert 2e-4 < np.mean(rates) < 3e-3


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_the_law_that_excesses_have_is_found_again(shape: float) -> None:
    excesses = np.sort(genpareto(shape, scale=2.0).rvs(5000, random_state=1))
    law = ParetoLaw.fit(excesses)
    assert law.shape == pytest.approx(shape, abs=0.05)
    assert law.scale == pytest.approx(2.0, rel=0.08)


@pytest.mark.parametrize("shape", [-1.0, -0.3, 0.0, 0.3])
def test_quantile_and_survival_of_a_law_are_those_of_scipy(shape: float) -> None:
    law, shares = ParetoLaw(shape, 1.7), np.array([0.9, 0.1, 1e-4])
    known = genpareto(shape, scale=1.7)
    np.testing.assert_allclose(law.quantile(shares), known.isf(shares))
    np.testing.assert_allclose(law.survival(law.quantile(shares)), shares)


def test_the_diagnostics_tell_a_tail_that_fits() -> None:
    threshold = fitted("heavy", 3000, 1e-3, 2)
    details = threshold.details
    assert threshold.warning == ""
    assert float(details["p_value"]) >= 0.05
    assert float(details["band_low"]) < threshold.value < float(details["band_high"])
    assert 30 <= float(details["excesses"]) <= 300
    assert threshold.guarantee.startswith("none: generalised Pareto tail of shape ")


def test_the_band_holds_the_true_score_as_often_as_it_says() -> None:
    true = float(expon().isf(1e-3))
    bands = [fitted("exponential", 1000, 1e-3, seed).details for seed in range(60)]
    inside = [float(band["band_low"]) <= true <= float(band["band_high"]) for band in bands]
    assert np.mean(inside) >= 0.85


def test_an_accepted_law_is_rejected_in_about_one_of_twenty_samples_at_the_first_level() -> None:
    starts = [fitted("exponential", 1000, 1e-3, seed).details["excesses"] for seed in range(100)]
    assert np.mean([start != 100 for start in starts]) < 0.15


def test_scores_of_two_kinds_are_said_to_have_no_such_tail() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(size=950), np.round(rng.uniform(9, 12, 50))])
    threshold = PotThreshold(1e-3).fit(scores)
    assert "no start level gives a generalised Pareto tail" in threshold.warning


def test_a_tail_so_heavy_that_few_scores_decide_is_warned_of() -> None:
    scores = np.asarray(genpareto(1.2).rvs(2000, random_state=0))
    assert "so heavy" in PotThreshold(1e-3).fit(scores).warning


def test_few_excesses_are_warned_of_and_too_few_name_the_fallback() -> None:
    few = fitted("exponential", 40, 1e-3, 0)
    assert "the tail is fitted to 20 excesses; 30 are needed" in few.warning
    none = fitted("exponential", 15, 1e-3, 0)
    assert "the fallback 'exponential tail' is used" in none.warning
    assert np.isfinite(none.value) and np.isfinite(few.value)


def test_equal_scores_have_no_tail_but_a_threshold() -> None:
    threshold = PotThreshold(1e-3).fit(np.full(500, 2.0))
    assert threshold.value == pytest.approx(2.0, rel=1e-6)
    assert "different scores" in threshold.warning


def test_of_more_excesses_than_a_fit_needs_a_draw_is_taken() -> None:
    threshold = fitted("exponential", 200_000, 0.1, 0)
    assert threshold.details["excesses"] == 1000
    assert threshold.value == pytest.approx(np.log(10), abs=0.1)


def test_the_same_scores_give_the_same_threshold() -> None:
    once, again = fitted("heavy", 500, 1e-3, 4), fitted("heavy", 500, 1e-3, 4)
    assert once.to_dict() == again.to_dict()


def test_a_rate_that_is_no_tail_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"alpha is 0\.3; peaks over threshold need at"):
        PotThreshold(0.3)
