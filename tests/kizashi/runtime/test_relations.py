"""How far relations between sensors are broken, alone and as a part of the joint score."""

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import NotCalibrated
from kizashi.runtime.scaling import SCALERS, CompressedScaler, Scaler, StandardScaler
from kizashi.runtime.scoring import (
    JointScore,
    NearestNormal,
    Rebuilt,
    ReconstructionError,
    SensorRelations,
    restore_scorer,
)

FloatArray = npt.NDArray[np.float64]
STATES, SENSORS, NOISE = 3, 12, 0.002
MIXING_SF = np.random.default_rng(7).normal(size=(STATES, SENSORS))


def circuit(count: int = 600, seed: int = 0, noise: float = NOISE) -> FloatArray:
    """Rows of twelve sensors that measure three states, shape (N, F)."""
    rng = np.random.default_rng(seed)
    rows_NF: FloatArray = rng.normal(size=(count, STATES)) @ MIXING_SF
    rows_NF += noise * rng.normal(size=rows_NF.shape)
    return rows_NF


def rebuilt(rows_NF: FloatArray, scaler: Scaler) -> Rebuilt:
    """As a network rebuilds them that is a little off."""
    scaled_BTF = scaler.transform_finite(rows_NF)[:, None]
    noise_BTF = np.random.default_rng(9).normal(size=scaled_BTF.shape)
    return Rebuilt(scaled_BTF, (scaled_BTF + 0.1 * noise_BTF)[None], scaler)


@pytest.fixture(params=[StandardScaler, CompressedScaler])
def scaler(request: pytest.FixtureRequest) -> Scaler:
    made: Scaler = request.param().fit(circuit())
    return made


def shifted(sensor: int, by: float = 0.1, count: int = 200) -> FloatArray:
    """New rows with one sensor a tenth of its deviation off."""
    rows_NF = circuit(count, seed=1)
    rows_NF[:, sensor] += by * np.linalg.norm(MIXING_SF[:, sensor])
    return rows_NF


def test_a_broken_relation_is_found_that_no_range_and_no_distance_shows(scaler: Scaler) -> None:
    seen = rebuilt(circuit(), scaler)
    normal, broken = rebuilt(circuit(200, seed=2), scaler), rebuilt(shifted(4), scaler)
    relations, nearest = SensorRelations().fit(seen), NearestNormal().fit(seen)
    assert relations.score(broken).min() > 3 * relations.score(normal).max()
    assert np.median(nearest.score(broken)) < nearest.score(normal).max()


def test_rows_that_keep_the_relations_score_about_1(scaler: Scaler) -> None:
    relations = SensorRelations().fit(rebuilt(circuit(), scaler))
    score_B = relations.score(rebuilt(circuit(200, seed=2), scaler))
    assert np.median(score_B) == pytest.approx(1, abs=0.2)


def test_what_lies_far_out_on_the_relations_is_not_strange_to_them(scaler: Scaler) -> None:
    relations = SensorRelations().fit(rebuilt(circuit(), scaler))
    far_NF = 10 * np.random.default_rng(3).normal(size=(50, STATES)) @ MIXING_SF
    far_NF += NOISE * np.random.default_rng(4).normal(size=far_NF.shape)
    assert relations.score(rebuilt(far_NF, scaler)).max() < 5


@pytest.mark.parametrize("sensor", range(SENSORS))
def test_the_sensor_that_moved_is_to_blame(sensor: int, scaler: Scaler) -> None:
    relations = SensorRelations().fit(rebuilt(circuit(), scaler))
    score_B, share_BF = relations.explain(rebuilt(shifted(sensor), scaler))
    assert np.mean(share_BF.argmax(axis=1) == sensor) > 0.95
    np.testing.assert_allclose(share_BF.sum(axis=1), 1)
    np.testing.assert_allclose(score_B, relations.score(rebuilt(shifted(sensor), scaler)))


def test_it_applies_where_relations_take_more_than_half_of_the_directions() -> None:
    def applies(rows_NF: FloatArray) -> bool:
        return SensorRelations().fit(rebuilt(rows_NF, StandardScaler().fit(rows_NF))).applies

    rng = np.random.default_rng(5)
    pairs_NF = np.repeat(rng.normal(size=(600, 6)), 2, axis=1)
    still_NF = np.column_stack([circuit(), np.full((600, 9), 4.0)])
    assert applies(circuit())
    assert applies(still_NF)
    assert not applies(circuit(noise=0.5))
    assert not applies(pairs_NF + 1e-3 * rng.normal(size=pairs_NF.shape))  # half is not more
    assert not applies(rng.normal(size=(13, 12)))  # so few that chance makes relations
    assert not applies(circuit(23))
    assert not applies(np.full((50, 3), 2.0))


def test_the_joint_score_weighs_relations_by_the_directions_that_they_take() -> None:
    scaler = CompressedScaler().fit(circuit())
    seen, new = rebuilt(circuit(), scaler), rebuilt(shifted(2), scaler)
    plain = JointScore([ReconstructionError(), NearestNormal()]).fit(seen)
    whole = JointScore([ReconstructionError(), NearestNormal(), SensorRelations()]).fit(seen)
    alone = SensorRelations().fit(seen)
    weight = (SENSORS - STATES) / SENSORS
    assert alone.weight == pytest.approx(weight)
    over_B = alone.score(new) / np.median(alone.score(seen))
    expected_B = over_B**weight * plain.score(new) ** (1 - weight)
    np.testing.assert_allclose(whole.score(new), expected_B)
    again = restore_scorer(whole.to_dict())
    np.testing.assert_array_equal(again.score(new), whole.score(new))
    np.testing.assert_array_equal(again.explain(new)[1], whole.explain(new)[1])
    assert whole.score_one(new[:1]) == pytest.approx(whole.score(new)[0])


def test_where_it_does_not_apply_the_joint_score_is_that_without_it() -> None:
    rows_NF = circuit(noise=0.5)
    seen = rebuilt(rows_NF, StandardScaler().fit(rows_NF))
    plain = JointScore([ReconstructionError(), NearestNormal()]).fit(seen)
    with_it = JointScore([ReconstructionError(), NearestNormal(), SensorRelations()]).fit(seen)
    assert [part.kind for part in with_it.parts] == [part.kind for part in plain.parts]
    assert np.array_equal(with_it.score(seen), plain.score(seen))


def test_what_a_network_filled_in_is_moved_to_where_the_relations_hold(scaler: Scaler) -> None:
    relations = SensorRelations().fit(rebuilt(circuit(), scaler))
    scaled_BTF = scaler.transform_finite(circuit(40, seed=6))[:, None]
    missing_BTF = np.zeros(scaled_BTF.shape, dtype=np.bool_)
    missing_BTF[:20, :, 3] = True
    missing_BTF[10:30, :, 8] = True
    guess_BTF = np.where(missing_BTF, scaled_BTF + 0.3, scaled_BTF)
    settled_BTF = relations.settle(guess_BTF, missing_BTF, scaler)
    assert np.array_equal(settled_BTF[~missing_BTF], scaled_BTF[~missing_BTF])
    np.testing.assert_allclose(settled_BTF, scaled_BTF, atol=0.03)
    assert relations.score(Rebuilt(settled_BTF, settled_BTF[None], scaler)).max() < 2
    assert relations.score(Rebuilt(guess_BTF, guess_BTF[None], scaler))[:30].min() > 10


@pytest.mark.parametrize("kind", SCALERS)
def test_straight_values_are_linear_and_bend_back(kind: str) -> None:
    scaler = SCALERS[kind]().fit(circuit())
    rows_NF = 20 * circuit(50, seed=8)
    scaled = scaler.transform_finite(rows_NF)
    spreads_NF = (rows_NF - scaler.center_F) / scaler.spread_F
    np.testing.assert_allclose(scaler.straighten(scaled), spreads_NF, rtol=1e-9)
    np.testing.assert_allclose(scaler.bend(scaler.straighten(scaled)), scaled, rtol=1e-9)


@pytest.mark.parametrize("wild", [1e12, -1e300])
def test_a_wild_value_has_a_finite_score(wild: float, scaler: Scaler) -> None:
    relations = SensorRelations().fit(rebuilt(circuit(), scaler))
    rows_NF = circuit(2, seed=1)
    rows_NF[0, 5] = wild
    score_B, share_BF = relations.explain(rebuilt(rows_NF, scaler))
    assert np.isfinite(score_B).all() and score_B[0] > 1e6
    assert share_BF[0].argmax() == 5


def test_unfitted_relations_say_so() -> None:
    with pytest.raises(NotCalibrated, match=r"^the sensor_relations scorer has not been fitted$"):
        SensorRelations().score(Rebuilt(np.zeros((1, 1, 2)), np.zeros((1, 1, 1, 2))))
