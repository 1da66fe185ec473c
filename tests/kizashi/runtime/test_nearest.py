"""The distance to the nearest normal windows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.errors import ConfigurationError
from kizashi.runtime.scoring import NearestNormal, restore_scorer
from kizashi.runtime.scoring.nearest import (
    DENSEST,
    KNEE,
    LEAST,
    MOST_VALUES,
    NEIGHBOURS,
    POWER,
    SPACED,
)
from kizashi.runtime.scoring.scorer import SEEN_SCORED
from kizashi.runtime.scoring.spacing import resolution, without_thinning
from tests.scorers import rebuilt

FloatArray = npt.NDArray[np.float64]


def normal(windows: int = 500, length: int = 1, sensors: int = 3, seed: int = 0) -> FloatArray:
    windows_BTF: FloatArray = np.random.default_rng(seed).normal(size=(windows, length, sensors))
    return windows_BTF


def compressed(windows_BTF: FloatArray) -> FloatArray:
    flat_BV = windows_BTF.reshape(len(windows_BTF), -1)
    values_BV: FloatArray = KNEE * np.arcsinh(flat_BV / KNEE)
    return values_BV


class BruteForce:
    """Every distance worked out, in double precision, as the docstring has it."""

    def __init__(self, kept_BTF: FloatArray) -> None:
        self.kept_PV = compressed(kept_BTF)
        near_PK = np.sort(self.distances(self.kept_PV, alone=True), axis=1)[:, :SPACED]
        spacing_P = near_PK.mean(axis=1)
        spacing_P = np.maximum(spacing_P, DENSEST * np.median(spacing_P))
        self.coarse = resolution(self.kept_PV)
        self.spacing_P = without_thinning(np.hypot(spacing_P, self.coarse), self.kept_PV)

    def distances(self, values_BV: FloatArray, alone: bool) -> FloatArray:
        step_BPV = values_BV[:, None] - self.kept_PV
        distance_BP: FloatArray = np.sqrt((step_BPV**2).mean(axis=2))
        if alone:
            np.fill_diagonal(distance_BP, np.inf)
        return distance_BP

    def scores(self, windows_BTF: FloatArray, alone: bool = False) -> FloatArray:
        distance_BP = self.distances(compressed(windows_BTF), alone)
        near_BK = np.argsort(distance_BP, axis=1)[:, :NEIGHBOURS]
        spacing_B = self.spacing_P[near_BK].mean(axis=1)
        closest_B = np.hypot(distance_BP.min(axis=1), LEAST * spacing_B)
        score_B: FloatArray = np.hypot(closest_B, self.coarse) / spacing_B**POWER
        return score_B


@pytest.mark.parametrize("steps", [None, 4.0])
@pytest.mark.parametrize(("length", "sensors"), [(1, 1), (1, 3), (4, 3), (2, 60)])
def test_scores_are_the_distances_of_an_exhaustive_search(
    length: int, sensors: int, steps: float | None
) -> None:
    kept_BTF, new_BTF = normal(300, length, sensors), 3 * normal(200, length, sensors, seed=1)
    if steps:  # one sensor reads in steps
        kept_BTF[..., 0] = np.round(kept_BTF[..., 0] * steps) / steps
        kept_BTF = np.unique(kept_BTF, axis=0)
    expected_B = BruteForce(kept_BTF).scores(new_BTF)
    scorer = NearestNormal().fit(rebuilt(kept_BTF))
    np.testing.assert_allclose(scorer.score(rebuilt(new_BTF)), expected_B, rtol=1e-4, atol=1e-5)
    alone = [scorer.score(rebuilt(new_BTF[place : place + 1]))[0] for place in range(50)]
    np.testing.assert_allclose(alone, expected_B[:50], rtol=1e-4, atol=1e-5)


def test_windows_that_were_seen_are_compared_with_all_but_themselves() -> None:
    kept_BTF = normal()
    scorer = NearestNormal().fit(rebuilt(kept_BTF))
    expected_B = BruteForce(kept_BTF).scores(kept_BTF, alone=True)
    np.testing.assert_allclose(scorer.seen_scores(rebuilt(kept_BTF)), expected_B, rtol=1e-4)
    assert (scorer.score(rebuilt(kept_BTF)) < 0.1 * expected_B).all()


def test_of_more_windows_than_prototypes_those_that_are_none_are_scored() -> None:
    seen = rebuilt(normal(3000))
    scorer = NearestNormal(100).fit(seen)
    seen_B = scorer.seen_scores(seen)
    others_B = scorer.score(rebuilt(normal(3000, seed=1)))
    assert len(seen_B) == 2900
    assert np.median(seen_B) == pytest.approx(np.median(others_B), rel=0.05)


def test_of_many_windows_a_part_tells_the_usual_scores() -> None:
    seen = rebuilt(normal(4 * SEEN_SCORED))
    assert NearestNormal(100).fit(seen).seen_scores(seen).shape == (SEEN_SCORED,)


@pytest.mark.parametrize(
    ("given", "windows", "values", "kept"),
    [(7, 500, 3, 7), (1000, 500, 3, 500), (None, 500, 3, 500), (None, 20_000, 1, 2_000)],
)
def test_prototypes_are_as_many_as_given_or_as_the_number_of_values_asks(
    given: int | None, windows: int, values: int, kept: int
) -> None:
    scorer = NearestNormal(given).fit(rebuilt(normal(windows, 1, values)))
    assert scorer.to_dict()["kept"].shape == (kept, values)


def test_wide_windows_keep_fewer_prototypes_so_that_a_bundle_stays_small() -> None:
    wide_BTF = np.zeros((400, 8, 1_555))
    wide_BTF[:, 0, 0] = np.arange(400)
    kept = NearestNormal(5000).fit(rebuilt(wide_BTF)).to_dict()["kept"]
    assert kept.size <= MOST_VALUES
    assert len(kept) > 100


def test_prototypes_are_spread_over_all_of_training() -> None:
    in_time_BTF = np.linspace(0, 0.1, 1000)[:, None, None]
    kept = NearestNormal(5).fit(rebuilt(in_time_BTF)).to_dict()["kept"]
    np.testing.assert_allclose(kept[:, 0], [0, 0.025, 0.05, 0.075, 0.1], atol=1e-3)


def test_fewer_than_one_prototype_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^prototypes is 0; a whole number from 1 "):
        NearestNormal(0)


@pytest.mark.parametrize("windows", range(1, NEIGHBOURS + 2))
def test_next_to_no_windows_still_tell_near_from_far(windows: int) -> None:
    seen = rebuilt(normal(windows))
    scorer = NearestNormal().fit(seen)
    near, far = scorer.score(rebuilt(seen.scaled_BTF[:1] + np.array([[[0.1]], [[5.0]]])))
    assert 0 < near < far < np.inf
    assert np.isfinite(scorer.seen_scores(seen)).all()


def test_one_prototype_makes_the_score_its_distance() -> None:
    scorer = NearestNormal(1).fit(rebuilt(np.zeros((50, 1, 2))))
    scores = scorer.score(rebuilt(np.array([[[0.3, 0.4]], [[0.0, 0.1]]])))
    np.testing.assert_allclose(scores, [np.sqrt(0.25 / 2), np.sqrt(0.01 / 2)], rtol=0.01)


def test_windows_that_repeat_count_once_in_the_spacing() -> None:
    once_BTF = normal(200)
    often_BTF = np.concatenate([once_BTF, *[once_BTF[:20]] * 6])
    once, often = (NearestNormal().fit(rebuilt(one)).to_dict() for one in (once_BTF, often_BTF))
    # What is left is that repeated windows move the middle, and the slope of the thinning.
    np.testing.assert_allclose(often["spacing"][:200], once["spacing"], rtol=0.1)


def test_a_bundle_without_a_power_scores_as_it_did_when_it_was_made() -> None:
    stored = NearestNormal().fit(rebuilt(normal())).to_dict()
    del stored["power"], stored["resolution"]
    scorer = NearestNormal.restore(stored, restore_scorer)
    new_BTF = 3 * normal(50, seed=1)
    step_BPV = compressed(new_BTF)[:, None] - compressed(normal())
    distance_BP = np.sqrt((step_BPV**2).mean(axis=2))
    near_BK = distance_BP.argsort(axis=1)[:, :NEIGHBOURS]
    expected_B = distance_BP.min(axis=1) / np.sqrt(stored["spacing"][near_BK].mean(axis=1))
    np.testing.assert_allclose(scorer.score(rebuilt(new_BTF)), expected_B, rtol=1e-4)


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_windows_that_repeat_one_another_have_finite_scores_and_what_differs_a_higher_one(
    share: float,
) -> None:
    seen_BTF = normal(200)
    seen_BTF[: int(share * 200)] = 0.5
    scorer = NearestNormal().fit(rebuilt(seen_BTF))
    seen_B = scorer.seen_scores(rebuilt(seen_BTF))
    repeated, beside, far = scorer.score(
        rebuilt(np.array([[[0.5]], [[1.0]], [[9.0]]]) * np.ones(3))
    )
    assert np.isfinite(seen_B).all()
    assert (seen_B >= 0).all()
    assert repeated < beside < far < np.inf


def test_the_same_step_counts_more_where_windows_lie_densely() -> None:
    rng = np.random.default_rng(0)
    dense_BTF = rng.normal(0, 0.05, (400, 1, 2))
    sparse_BTF = rng.normal([2.0, 0.0], 0.5, (400, 1, 2))
    scorer = NearestNormal().fit(rebuilt(np.concatenate([dense_BTF, sparse_BTF])))
    edge = [dense_BTF[:, 0, 0].argmin(), 400 + sparse_BTF[:, 0, 1].argmax()]
    windows_BTF = np.concatenate([dense_BTF, sparse_BTF])[edge]
    step_BTF = np.array([[[-0.5, 0.0]], [[0.0, 0.5]]])
    by_dense, by_sparse = scorer.score(rebuilt(windows_BTF + step_BTF))
    assert by_dense > 1.5 * by_sparse


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2), st.floats(30.0, 1e6), st.booleans())
def test_the_sensor_that_leaves_the_normal_windows_has_the_largest_share(
    sensor: int, step: float, up: bool
) -> None:
    scorer = NearestNormal().fit(rebuilt(normal()))
    windows_BTF = normal(20, seed=3)
    windows_BTF[..., sensor] = step if up else -step
    share_BF = scorer.explain(rebuilt(windows_BTF))[1]
    assert (share_BF.argmax(axis=1) == sensor).all()
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)


def test_a_score_grows_with_the_distance_from_all_normal_windows() -> None:
    scorer = NearestNormal().fit(rebuilt(normal()))
    away = np.concatenate([[0.0], np.logspace(1, 6, 40)])[:, None, None] * np.array([1.0, 0.5, -2])
    assert (np.diff(scorer.score(rebuilt(away))) > 0).all()


def test_the_nearest_normal_windows_are_shown_nearest_first_in_scaled_units() -> None:
    kept_BTF = normal(100, 2)
    scorer = NearestNormal().fit(rebuilt(kept_BTF))
    new_BTF = normal(10, 2, seed=4)
    nearest_BKTF = scorer.nearest(rebuilt(new_BTF))
    assert nearest_BKTF.shape == (10, NEIGHBOURS, 2, 3)
    step_BPV = compressed(new_BTF)[:, None] - compressed(kept_BTF)
    order_BP = (step_BPV**2).sum(axis=2).argsort(axis=1)
    np.testing.assert_allclose(
        nearest_BKTF, kept_BTF[order_BP[:, :NEIGHBOURS]], rtol=1e-4, atol=1e-5
    )
