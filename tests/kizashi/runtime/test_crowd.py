"""The distance to the nearest crowd of normal windows."""

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import ConfigurationError
from kizashi.runtime.scoring import CrowdDistance, NearestNormal, restore_scorer
from kizashi.runtime.scoring.nearest import KNEE, MOST_VALUES, NEIGHBOURS
from kizashi.runtime.scoring.scorer import SEEN_SCORED
from tests.scorers import rebuilt

FloatArray = npt.NDArray[np.float64]


def normal(windows: int = 500, length: int = 1, sensors: int = 3, seed: int = 0) -> FloatArray:
    windows_BTF: FloatArray = np.random.default_rng(seed).normal(size=(windows, length, sensors))
    return windows_BTF


def distances(new_BTF: FloatArray, kept_BTF: FloatArray) -> FloatArray:
    """Every distance, in double precision, nearest first, shape (B, P)."""
    new_BV, kept_PV = (
        KNEE * np.arcsinh(windows_BTF.reshape(len(windows_BTF), -1) / KNEE)
        for windows_BTF in (new_BTF, kept_BTF)
    )
    distance_BP: FloatArray = np.sqrt(((new_BV[:, None] - kept_PV) ** 2).mean(axis=2))
    return np.sort(distance_BP, axis=1)


@pytest.mark.parametrize(("length", "sensors"), [(1, 1), (1, 3), (4, 3), (2, 60)])
@pytest.mark.parametrize(("share", "beyond"), [(0.05, 15), (0.1, 30), (0.001, 1)])
def test_the_score_is_the_distance_beyond_a_share_of_the_kept_windows(
    length: int, sensors: int, share: float, beyond: int
) -> None:
    kept_BTF, new_BTF = normal(300, length, sensors), 3 * normal(200, length, sensors, seed=1)
    scorer = CrowdDistance(share).fit(rebuilt(kept_BTF))
    expected_B = distances(new_BTF, kept_BTF)[:, beyond]
    np.testing.assert_allclose(scorer.score(rebuilt(new_BTF)), expected_B, rtol=1e-4)
    alone = [scorer.score_one(rebuilt(new_BTF[place : place + 1])) for place in range(50)]
    np.testing.assert_allclose(alone, expected_B[:50], rtol=1e-4)


def test_windows_that_were_seen_are_not_compared_with_themselves() -> None:
    kept_BTF = normal(300)
    scorer = CrowdDistance(0.05).fit(rebuilt(kept_BTF))
    expected_B = distances(kept_BTF, kept_BTF)[:, 16]
    np.testing.assert_allclose(scorer.seen_scores(rebuilt(kept_BTF)), expected_B, rtol=1e-4)
    without_B = scorer.score_without(rebuilt(kept_BTF), kept_BTF)
    np.testing.assert_allclose(without_B, expected_B, rtol=1e-4)
    apart_B = scorer.score_without(rebuilt(kept_BTF), kept_BTF + 0.1)
    np.testing.assert_allclose(apart_B, scorer.score(rebuilt(kept_BTF)))


def test_of_many_windows_a_part_tells_the_usual_scores() -> None:
    seen = rebuilt(normal(2 * SEEN_SCORED))
    scorer = CrowdDistance(prototypes=100).fit(seen)
    seen_B = scorer.seen_scores(seen)
    assert seen_B.shape == (SEEN_SCORED,)
    others_B = scorer.score(rebuilt(normal(3000, seed=1)))
    assert np.median(seen_B) == pytest.approx(np.median(others_B), rel=0.05)


def test_faults_among_the_kept_windows_hide_none_of_their_kind_while_they_are_few() -> None:
    faults_BTF = 0.05 * normal(44, seed=1) + 4.0
    dirty_BTF = np.concatenate([normal(1000), faults_BTF[:40]])
    new, ordinary = rebuilt(faults_BTF[40:]), rebuilt(normal(1000, seed=2))
    crowd = CrowdDistance(0.05).fit(rebuilt(dirty_BTF))
    assert crowd.score(new).min() > crowd.score(ordinary).max()
    nearest = NearestNormal().fit(rebuilt(dirty_BTF))
    assert nearest.score(new).max() < np.quantile(nearest.score(ordinary), 0.99)


@pytest.mark.parametrize("prototypes", [500, 1_000])
def test_how_many_are_kept_hardly_matters(prototypes: int) -> None:
    seen, new = rebuilt(normal(4_000)), rebuilt(3 * normal(200, seed=1))
    many_B, few_B = (CrowdDistance(0.05, kept).fit(seen).score(new) for kept in (4_000, prototypes))
    np.testing.assert_allclose(few_B, many_B, rtol=0.25)
    assert np.corrcoef(few_B, many_B)[0, 1] > 0.99


@pytest.mark.parametrize("sensor", range(3))
@pytest.mark.parametrize("step", [-6.0, 6.0, 1e6])
def test_the_sensor_that_leaves_the_crowd_has_the_largest_share(sensor: int, step: float) -> None:
    scorer = CrowdDistance().fit(rebuilt(normal()))
    windows_BTF = 0.5 * normal(20, seed=3)
    windows_BTF[..., sensor] = step
    share_BF = scorer.explain(rebuilt(windows_BTF))[1]
    assert (share_BF.argmax(axis=1) == sensor).all()


@pytest.mark.parametrize("windows", [1, 2, 3, 33])
def test_next_to_no_windows_still_tell_near_from_far(windows: int) -> None:
    seen = rebuilt(normal(windows))
    scorer = CrowdDistance().fit(seen)
    near, far = scorer.score(rebuilt(seen.scaled_BTF[:1] + np.array([[[0.1]], [[9.0]]])))
    assert 0 < near < far < np.inf
    assert np.isfinite(scorer.seen_scores(seen)).all()
    assert np.isfinite(scorer.score_without(seen, seen.scaled_BTF)).all()


def test_a_window_that_many_repeat_scores_0_and_blames_no_sensor() -> None:
    scorer = CrowdDistance().fit(rebuilt(np.full((100, 2, 3), 0.7)))
    score_B, share_BF = scorer.explain(rebuilt(np.full((2, 2, 3), 0.7)))
    assert (score_B == 0).all()
    np.testing.assert_allclose(share_BF, 1 / 3)


def test_nothing_to_judge_is_judged_as_nothing() -> None:
    scorer = CrowdDistance().fit(rebuilt(normal()))
    nothing = rebuilt(normal(0))
    assert scorer.score(nothing).shape == (0,)
    assert scorer.explain(nothing)[1].shape == (0, 3)
    assert scorer.nearest(nothing).shape == (0, NEIGHBOURS, 1, 3)


def test_wide_windows_keep_fewer_prototypes_so_that_a_bundle_stays_small() -> None:
    kept = CrowdDistance().fit(rebuilt(normal(300, 8, 1_555))).to_dict()["kept"]
    assert kept.size <= MOST_VALUES
    assert len(kept) > 100


def test_the_nearest_normal_windows_are_shown_nearest_first_in_scaled_units() -> None:
    kept_BTF, new_BTF = normal(100, 2), normal(10, 2, seed=4)
    shown = CrowdDistance().fit(rebuilt(kept_BTF)).nearest(rebuilt(new_BTF))
    expected = NearestNormal().fit(rebuilt(kept_BTF)).nearest(rebuilt(new_BTF))
    np.testing.assert_allclose(shown, expected, rtol=1e-5)


def test_what_is_stored_scores_the_same() -> None:
    scorer = CrowdDistance(0.1, 50).fit(rebuilt(normal()))
    restored = restore_scorer(scorer.to_dict())
    assert isinstance(restored, CrowdDistance)
    assert (restored.share, restored.prototypes) == (0.1, 50)
    new = rebuilt(normal(50, seed=1))
    assert np.array_equal(restored.score(new), scorer.score(new))


@pytest.mark.parametrize("share", [0.0, -0.1, 0.5, float("nan")])
def test_a_share_that_is_none_or_half_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^share is {share}; a share above 0 and below "):
        CrowdDistance(share)


def test_fewer_than_one_prototype_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^prototypes is 0; a whole number from 1 "):
        CrowdDistance(prototypes=0)
