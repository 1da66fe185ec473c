"""How rare the states of on/off sensors are, alone and as a part of the joint score."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scaling import SCALERS, CompressedScaler
from kizashi.runtime.scoring import (
    JointScore,
    NearestNormal,
    Rebuilt,
    ReconstructionError,
    StateRarity,
    restore_scorer,
)

FloatArray = npt.NDArray[np.float64]
OFTEN = np.array([0.5, 0.3, 0.1, 0.02])
"""Share of the normal rows in which each sensor is on."""


def states(count: int = 1000, length: int = 1, seed: int = 0) -> FloatArray:
    """Windows of independent on/off sensors, shape (B, T, 4)."""
    drawn_BTF = np.random.default_rng(seed).random((count, length, len(OFTEN)))
    return (drawn_BTF < OFTEN).astype(np.float64)


def rebuilt(scaled_BTF: FloatArray) -> Rebuilt:
    """As a network rebuilds them that is a little off."""
    noise_BTF = np.random.default_rng(9).normal(size=scaled_BTF.shape)
    return Rebuilt(scaled_BTF, (scaled_BTF + 0.1 * noise_BTF)[None])


def joint(rarity: bool = True) -> JointScore:
    parts = [ReconstructionError(), NearestNormal()]
    return JointScore([*parts, StateRarity()] if rarity else parts)


def test_a_state_adds_the_odds_against_it() -> None:
    seen_BTF = states()
    share_F = seen_BTF.mean(axis=(0, 1))
    row_F = np.array([1.0, 0.0, 1.0, 0.0])
    of_state_F = np.where(row_F == 1, share_F, 1 - share_F)
    (score,) = StateRarity().fit(rebuilt(seen_BTF)).score(rebuilt(row_F[None, None]))
    assert score == pytest.approx(np.sqrt(np.mean((1 - of_state_F) / of_state_F)))


def test_normal_windows_have_a_mean_square_of_1() -> None:
    seen = rebuilt(states())
    score_B = StateRarity().fit(seen).score(seen)
    assert np.mean(score_B**2) == pytest.approx(1)


def test_the_rare_state_is_to_blame() -> None:
    score_B, share_BF = (
        StateRarity().fit(rebuilt(states())).explain(rebuilt(np.array([[[0.0, 0.0, 0.0, 1.0]]])))
    )
    assert share_BF[0].argmax() == 3
    assert share_BF.sum() == pytest.approx(1)
    assert score_B[0] > 3


@pytest.mark.parametrize("scaler", SCALERS)
def test_the_scale_does_not_matter(scaler: str) -> None:
    seen_BTF, new_BTF = states(), states(50, seed=1)
    fitted = SCALERS[scaler]().fit(seen_BTF[:, 0])
    plain = StateRarity().fit(rebuilt(seen_BTF)).score(rebuilt(new_BTF))
    scaled = StateRarity().fit(rebuilt(fitted.transform(seen_BTF)))
    np.testing.assert_allclose(scaled.score(rebuilt(fitted.transform(new_BTF))), plain)


@pytest.mark.parametrize("length", [1, 5])
def test_a_single_window_is_scored_as_among_others(length: int) -> None:
    seen, new = rebuilt(states(length=length)), rebuilt(states(20, length, seed=1))
    for scorer in (StateRarity().fit(seen), joint().fit(seen)):
        alone = [scorer.score_one(new[place : place + 1]) for place in range(20)]
        np.testing.assert_allclose(alone, scorer.score(new), rtol=1e-6)


def test_an_unfitted_rarity_says_so() -> None:
    with pytest.raises(NotCalibrated, match=r"^the state_rarity scorer has not been fitted$"):
        StateRarity().score(rebuilt(states(2)))


def test_it_applies_where_every_sensor_that_moved_is_on_or_off() -> None:
    still_BTF = states()
    still_BTF[..., 2] = 7.0
    measured_BTF = states()
    measured_BTF[..., 2] = np.random.default_rng(1).normal(size=(1000, 1))
    three_BTF = states()
    three_BTF[5, 0, 2] = 2.0
    assert StateRarity().fit(rebuilt(states())).applies
    assert StateRarity().fit(rebuilt(still_BTF)).applies
    assert not StateRarity().fit(rebuilt(measured_BTF)).applies
    assert not StateRarity().fit(rebuilt(three_BTF)).applies
    assert not StateRarity().fit(rebuilt(np.full((9, 1, 2), 3.0))).applies


def test_beside_a_measurement_the_joint_score_is_that_without_rarity_and_stored_alike() -> None:
    seen_BTF, new_BTF = states(), states(100, seed=1)
    seen_BTF[..., 0] = np.random.default_rng(2).normal(size=(1000, 1))
    with_it, without = (joint(rarity).fit(rebuilt(seen_BTF)) for rarity in (True, False))
    new = rebuilt(new_BTF)
    assert np.array_equal(with_it.score(new), without.score(new))
    assert with_it.score_one(new[:1]) == without.score_one(new[:1])
    assert np.array_equal(with_it.explain(new)[1], without.explain(new)[1])
    assert with_it.to_dict()["parts"].keys() == without.to_dict()["parts"].keys()


def test_among_states_rarity_is_one_part_more() -> None:
    seen, new = rebuilt(states()), rebuilt(states(100, seed=1))
    plain, rarity, whole = joint(False).fit(seen), StateRarity().fit(seen), joint().fit(seen)
    over_B = rarity.score(new) / np.median(rarity.score(seen))
    np.testing.assert_allclose(whole.score(new), (plain.score(new) ** 2 * over_B) ** (1 / 3))
    (_, plain_BF), (_, rarity_BF) = plain.explain(new), rarity.explain(new)
    score_B, share_BF = whole.explain(new)
    np.testing.assert_allclose(score_B, whole.score(new))
    np.testing.assert_allclose(share_BF, (2 * plain_BF + rarity_BF) / 3)
    assert (share_BF >= 0).all()
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)


def test_windows_left_out_of_what_is_kept_are_rare_all_the_same() -> None:
    seen = rebuilt(states())
    plain, whole, rarity = joint(False).fit(seen), joint().fit(seen), StateRarity().fit(seen)
    some = seen[:50]
    over_B = rarity.score(some) / np.median(rarity.score(seen))
    np.testing.assert_allclose(
        whole.score_without(some, some.scaled_BTF),
        (plain.score_without(some, some.scaled_BTF) ** 2 * over_B) ** (1 / 3),
    )


def test_a_stored_joint_score_keeps_its_rarity() -> None:
    seen, new = rebuilt(states()), rebuilt(states(100, seed=1))
    whole = joint().fit(seen)
    restored = restore_scorer(whole.to_dict())
    assert np.array_equal(restored.score(new), whole.score(new))
    assert restored.score_one(new[:1]) == whole.score_one(new[:1])
    assert np.array_equal(restored.explain(new)[1], whole.explain(new)[1])
    assert len(restored.to_dict()["parts"]) == 3


def test_a_joint_score_without_a_part_that_applies_says_so() -> None:
    measured = rebuilt(np.random.default_rng(3).normal(size=(500, 1, 4)))
    with pytest.raises(ConfigurationError, match="state_rarity: no part applies to this data"):
        JointScore([StateRarity()]).fit(measured)


def test_a_second_fit_on_measurements_forgets_the_rarity() -> None:
    measured = rebuilt(np.random.default_rng(3).normal(size=(500, 1, 4)))
    twice = joint().fit(rebuilt(states())).fit(measured)
    assert np.array_equal(twice.score(measured), joint(False).fit(measured).score(measured))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, 1e6])
def test_a_state_that_was_never_seen_has_a_finite_score(value: float) -> None:
    scaler = CompressedScaler().fit(states()[:, 0])
    scorer = joint().fit(rebuilt(scaler.transform(states())))
    row_BTF = np.array([[[value, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]])
    new = rebuilt(scaler.transform_finite(row_BTF))
    strange, usual = scorer.score(new)
    assert np.isfinite(strange)
    assert math.isfinite(scorer.score_one(new[:1]))
    assert strange > usual


def test_a_state_seen_once_does_not_outweigh_what_every_part_says() -> None:
    """As many sensors are in sparse tables."""
    seen_BTF = np.zeros((2000, 1, 30))
    seen_BTF[np.arange(30), 0, np.arange(30)] = 1
    scorer = joint().fit(rebuilt(seen_BTF))
    score_B, share_BF = scorer.explain(rebuilt(seen_BTF[[0, 1999]]))
    assert np.isfinite(score_B).all()
    assert np.isfinite(share_BF).all()
    assert score_B[0] > score_B[1]
