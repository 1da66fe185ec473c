"""The sensor whose replacement makes a window normal gets the blame."""

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.runtime.attribution import CANDIDATES, counterfactual

FloatArray = npt.NDArray[np.float64]


def without(score_BF: FloatArray) -> "Lookup":
    return Lookup(score_BF)


class Lookup:
    """Scores by window and replaced sensor, and which sensors were asked for."""

    def __init__(self, score_BF: FloatArray) -> None:
        self.score_BF = score_BF
        self.asked: set[int] = set()

    def __call__(self, sensor_B: npt.NDArray[np.intp]) -> FloatArray:
        self.asked |= set(sensor_B.tolist())
        return self.score_BF[np.arange(len(sensor_B)), sensor_B]


def test_the_sensor_whose_replacement_helps_most_gets_the_largest_share() -> None:
    share_BF = np.array([[0.5, 0.3, 0.2]])
    shared_BF = counterfactual(share_BF, np.array([8.0]), without(np.array([[8.0, 1.0, 4.0]])))
    np.testing.assert_allclose(shared_BF, [[0.0, 0.75, 0.25]])


def test_a_replacement_that_makes_it_worse_takes_no_blame() -> None:
    share_BF = np.array([[0.5, 0.5]])
    shared_BF = counterfactual(share_BF, np.array([2.0]), without(np.array([[9.0, 1.0]])))
    np.testing.assert_allclose(shared_BF, [[0.0, 1.0]])


def test_shares_stay_where_no_replacement_helps() -> None:
    share_BF = np.array([[0.6, 0.4]])
    shared_BF = counterfactual(share_BF, np.array([2.0]), without(np.array([[3.0, 2.0]])))
    np.testing.assert_allclose(shared_BF, share_BF)


@pytest.mark.parametrize("scores", [[0.0, 0.0], [0.0, 1.0], [1e-300, 1e300]])
def test_scores_of_0_and_of_any_size_give_finite_shares(scores: list[float]) -> None:
    share_BF = np.array([[0.6, 0.4]])
    shared_BF = counterfactual(share_BF, np.array([1.0]), without(np.array([scores])))
    assert np.isfinite(shared_BF).all()
    np.testing.assert_allclose(shared_BF.sum(axis=1), 1)


def test_only_the_most_blamed_of_many_sensors_are_looked_at_and_the_rest_keep_their_shares() -> (
    None
):
    rng = np.random.default_rng(0)
    share_BF = rng.dirichlet(np.ones(50), size=1)
    lookup = without(rng.uniform(0.5, 1.0, size=(1, 50)))
    shared_BF = counterfactual(share_BF, np.array([2.0]), lookup)
    most = set(np.argsort(-share_BF[0])[:CANDIDATES].tolist())
    assert lookup.asked == most
    rest = sorted(set(range(50)) - most)
    np.testing.assert_array_equal(shared_BF[:, rest], share_BF[:, rest])
    np.testing.assert_allclose(shared_BF.sum(), 1)
