"""Several scorers as one."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import rankdata

from kizashi.errors import ConfigurationError, NotCalibrated
from kizashi.runtime.scoring import (
    DriftDistance,
    JointScore,
    MahalanobisError,
    NearestNormal,
    Rebuilt,
    ReconstructionError,
    Scorer,
    StandardisedError,
    restore_scorer,
)

FloatArray = npt.NDArray[np.float64]


def windows(count: int = 600, seed: int = 0, scale: float = 1.0) -> Rebuilt:
    """Correlated sensors, rebuilt a little off."""
    rng = np.random.default_rng(seed)
    scaled_BTF = scale * (rng.normal(size=(count, 1, 1)) + 0.3 * rng.normal(size=(count, 1, 3)))
    return Rebuilt(scaled_BTF, (scaled_BTF + 0.1 * rng.normal(size=(count, 1, 3)))[None])


class Given(Scorer):
    """Scores and shares as they are stored in the windows: sensor 0 is the score."""

    kind = "given"
    needs_network = False

    def __init__(self, power: float = 1.0) -> None:
        self._power = power

    def fit(self, seen: Rebuilt) -> "Given":
        return self

    def score(self, rebuilt: Rebuilt) -> FloatArray:
        score_B: FloatArray = rebuilt.scaled_BTF[:, 0, 0] ** self._power
        return score_B

    def explain(self, rebuilt: Rebuilt) -> tuple[FloatArray, FloatArray]:
        share_BF = np.tile([0.2, 0.8] if self._power < 2 else [0.6, 0.4], (len(rebuilt), 1))
        return self.score(rebuilt), share_BF

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind}

    @classmethod
    def restore(cls, stored: object, any_scorer: object) -> "Given":
        return cls()


def positive(count: int = 500, seed: int = 0) -> Rebuilt:
    scaled_BTF = np.exp(np.random.default_rng(seed).normal(size=(count, 1, 2)))
    return Rebuilt(scaled_BTF, scaled_BTF[None])


def test_shares_are_the_mean_of_the_shares_in_the_parts() -> None:
    joint = JointScore([Given(1.0), Given(3.0)]).fit(positive())
    share_BF = joint.explain(positive())[1]
    np.testing.assert_allclose(share_BF, np.tile([0.4, 0.6], (500, 1)))


def test_the_score_is_the_geometric_mean_of_the_parts_over_their_medians() -> None:
    seen, new = positive(501), positive(50, seed=1)
    joint = JointScore([Given(1.0), Given(3.0)]).fit(seen)
    usual = np.median(seen.scaled_BTF[:, 0, 0])
    over_B = new.scaled_BTF[:, 0, 0] / usual
    np.testing.assert_allclose(joint.score(new), (over_B * over_B**3) ** 0.5)


def test_a_typical_normal_window_scores_about_1() -> None:
    seen = windows()
    joint = JointScore([ReconstructionError(), NearestNormal()]).fit(seen)
    assert np.median(joint.seen_scores(seen)) < 1
    assert np.median(joint.score(windows(seed=1))) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    "part", [ReconstructionError(), StandardisedError(), NearestNormal(), DriftDistance()]
)
def test_a_joint_score_of_one_part_ranks_and_explains_like_the_part(part: Scorer) -> None:
    new = windows(200, seed=1)
    joint = JointScore([part]).fit(windows())
    score_B, share_BF = part.fit(windows()).explain(new)
    joint_B, joint_BF = joint.explain(new)
    assert np.array_equal(rankdata(joint_B), rankdata(score_B))
    np.testing.assert_allclose(joint_BF, share_BF, atol=1e-12)


def test_a_window_that_every_part_finds_stranger_scores_higher() -> None:
    parts: list[Scorer] = [ReconstructionError(), NearestNormal()]
    joint = JointScore(parts).fit(windows())
    new = windows(300, seed=1, scale=2.0)
    one_B, other_B = (part.score(new) for part in parts)
    joint_B = joint.score(new)
    both = (one_B[:, None] > one_B) & (other_B[:, None] > other_B)
    assert both.sum() > 1000
    assert (joint_B[:, None] > joint_B)[both].all()


@pytest.mark.parametrize("wild", [1e6, 1e150, np.inf])
def test_the_wildest_scores_of_the_parts_stay_a_finite_score(wild: float) -> None:
    joint = JointScore([Given(1.0), Given(1.0)]).fit(positive())
    scaled_BTF = np.array([[[wild, 1.0]], [[0.0, 1.0]]])
    high, low = joint.score(Rebuilt(scaled_BTF, scaled_BTF[None]))
    assert 0 <= low < 1e-9 < 1e3 < high < np.inf
    one = Rebuilt(scaled_BTF, scaled_BTF[None])[:1]
    assert joint.score(one)[0] == pytest.approx(high)


def test_a_score_of_a_part_that_is_no_number_is_none_of_the_whole() -> None:
    joint = JointScore([Given(), Given()]).fit(positive())
    scaled_BTF = np.array([[[np.nan, 1.0]], [[1.0, 1.0]]])
    several = Rebuilt(scaled_BTF, scaled_BTF[None])
    assert np.isnan(joint.score(several)).tolist() == [True, False]
    assert np.isnan(joint.score(several[:1])[0])


def test_joint_scores_nest_and_are_stored_with_all_their_parts() -> None:
    inner = JointScore([StandardisedError(), DriftDistance()])
    joint = JointScore([MahalanobisError(), inner, NearestNormal(50)]).fit(windows())
    restored = restore_scorer(joint.to_dict())
    new = windows(100, seed=2)
    assert np.array_equal(restored.score(new), joint.score(new))
    assert np.array_equal(restored.explain(new)[1], joint.explain(new)[1])
    stored = restored.to_dict()["parts"]
    assert [stored[place]["kind"] for place in "012"] == [
        "mahalanobis_error",
        "joint",
        "nearest_normal",
    ]


def test_it_needs_a_network_when_one_of_its_parts_does() -> None:
    assert JointScore([NearestNormal(), ReconstructionError()]).needs_network
    assert not JointScore([NearestNormal(), JointScore([DriftDistance()])]).needs_network


def test_no_parts_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^a joint score has no parts; "):
        JointScore([])


def test_an_unfitted_joint_of_parts_that_need_no_fit_says_so() -> None:
    with pytest.raises(NotCalibrated, match=r"^the joint scorer has not been fitted$"):
        JointScore([ReconstructionError()]).score(windows(2))
