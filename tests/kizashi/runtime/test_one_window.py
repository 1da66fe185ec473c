"""The short way of a single window says what the way of many says."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.errors import InvalidRow, NotCalibrated, UnusableScore
from kizashi.models.conv import ConvolutionalAutoencoder
from kizashi.models.denoising import DenoisingEnsemble
from kizashi.models.dense import DenseAutoencoder
from kizashi.models.masked import MaskedAutoencoder
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector, rebuild
from kizashi.runtime.missing import MissingValues
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scaling import SCALERS
from kizashi.runtime.scoring import SCORERS, JointScore
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import sliding_windows
from kizashi.training.export import export_onnx
from tests.bundles import PRESS_LINE, press_line_rows, projection_network
from tests.scorers import unfitted

FloatArray = npt.NDArray[np.float64]
LARGEST = float(np.finfo(np.float64).max)
ROUNDING = 1e-5
NETWORKS: dict[str, Callable[..., Any]] = {
    "dense": DenseAutoencoder,
    "denoising": DenoisingEnsemble,
    "conv": ConvolutionalAutoencoder,
}


def made(
    scaler_kind: str = "compressed",
    scorer_kind: str = "joint",
    network_kind: str = "denoising",
    length: int = 1,
) -> Detector:
    """A detector of these parts, whose networks have not been trained."""
    torch.manual_seed(0)
    windows_BTF = np.asarray(sliding_windows(press_line_rows(600), length))
    scaler = SCALERS[scaler_kind]().fit(windows_BTF[:, -1])
    scaled_BTF = scaler.transform(windows_BTF)
    network = OnnxNetwork(export_onnx(NETWORKS[network_kind](3, length).eval(), scaled_BTF))
    imputer = OnnxNetwork(export_onnx(MaskedAutoencoder(3, length).eval(), scaled_BTF))
    scorer = unfitted(scorer_kind).fit(rebuild(scaler, network, windows_BTF))
    scores = scorer.score(rebuild(scaler, network, windows_BTF))
    return Detector(
        contract=DataContract(PRESS_LINE, length),
        scaler=scaler,
        network=network,
        scorer=scorer,
        calibration=Calibration(scores),
        threshold=ConformalThreshold(0.05).fit(scores),
        missing=MissingValues(imputer, scaled_BTF),
    )


def some_windows(length: int) -> FloatArray:
    """Normal windows, strange ones, and some with readings that are huge, tiny or missing."""
    windows_BTF: FloatArray = np.array(sliding_windows(press_line_rows(40, seed=3), length))
    windows_BTF[5:10] *= 3
    for place, value in enumerate([LARGEST, -LARGEST, 1e300, -1e30, 5e-324, 20.5, np.nan, 0.0]):
        windows_BTF[10 + place, 0, place % 3] = value
    windows_BTF[20, -1, :2] = np.nan
    windows_BTF[21] = LARGEST * np.array([1, -1, 1])
    return windows_BTF


def agree(detector: Detector, windows_BTF: FloatArray) -> None:
    score_B = detector.score(windows_BTF)
    anomaly_B = detector.decide(windows_BTF, score_B)
    alone = [detector.verdict(window_TF) for window_TF in windows_BTF]
    np.testing.assert_allclose([score for score, _ in alone], score_B, rtol=ROUNDING)
    assert [anomaly for _, anomaly in alone] == anomaly_B.tolist()
    assert {type(value) for verdict in alone for value in verdict} == {float, bool}
    np.testing.assert_array_equal(
        [detector.score(window_TF[None])[0] for window_TF in windows_BTF],
        [score for score, _ in alone],
    )


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("kind", SCORERS)
def test_a_window_alone_has_the_verdict_it_has_among_others(kind: str, length: int) -> None:
    agree(made(scorer_kind=kind, length=length), some_windows(length))


@pytest.mark.parametrize("kind", SCALERS)
def test_it_has_with_every_scaler(kind: str) -> None:
    agree(made(scaler_kind=kind), some_windows(1))


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_has_with_every_network(kind: str) -> None:
    agree(made(network_kind=kind, length=4), some_windows(4))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return made()


readings = st.floats(-LARGEST, LARGEST, allow_nan=False) | st.just(math.nan)


@settings(deadline=None)
@given(st.lists(readings, min_size=3, max_size=3), st.booleans())
def test_whatever_the_readings_the_verdict_is_that_of_the_row_among_others(
    detector: Detector, row: list[float], among_normal: bool
) -> None:
    window_TF = np.array([row if not all(map(math.isnan, row)) else [1.0, 1.0, 1.0]])
    other_TF = np.array([[1.2, 0.9, 1.1]]) if among_normal else window_TF
    score, anomaly = detector.verdict(window_TF)
    together_B = detector.score(np.stack([window_TF, other_TF]))
    assert score == pytest.approx(together_B[0], rel=ROUNDING)
    assert anomaly == detector.judge(window_TF[None]).anomaly_B[0]


@pytest.mark.parametrize(("value", "beyond"), [(20.0, False), (20.1, True), (-0.1, True)])
def test_a_reading_beyond_the_instrument_is_an_anomaly_whatever_its_score(
    detector: Detector, value: float, beyond: bool
) -> None:
    lenient = replace(detector, threshold=ConformalThreshold(0.05).fit(np.full(100, 1e300)))
    assert lenient.verdict(np.array([[value, 1.0, 1.0]]))[1] is beyond


def test_a_missing_value_is_refused_where_nothing_fills_it_in(detector: Detector) -> None:
    with pytest.raises(InvalidRow, match=r"^sensor 'current' is missing, and this model fills "):
        replace(detector, missing=None).verdict(np.array([[1.0, np.nan, 1.0]]))


@pytest.mark.parametrize(("weight", "shown"), [(np.nan, "nan"), (np.inf, "inf")])
def test_a_score_that_is_not_finite_is_an_error_and_never_normal(weight: float, shown: str) -> None:
    sound = made(scorer_kind="reconstruction_error")
    broken = replace(sound, network=OnnxNetwork(projection_network(np.full((3, 3), weight))))
    with pytest.raises(UnusableScore, match=f"^the model scored {shown}; a finite number is need"):
        broken.verdict(np.array([[2.0, 2.0, 2.0]]))


def test_an_unfitted_joint_score_says_so(detector: Detector) -> None:
    unusable = replace(detector, scorer=JointScore([SCORERS["reconstruction_error"]()]))
    with pytest.raises(NotCalibrated, match=r"^the joint scorer has not been fitted$"):
        unusable.verdict(np.array([[1.0, 1.0, 1.0]]))


def test_a_single_window_is_left_as_it_was(detector: Detector) -> None:
    window_TF = np.array([[1e300, -1e300, 1.0]])
    detector.verdict(window_TF)
    assert window_TF.tolist() == [[1e300, -1e300, 1.0]]


def test_what_was_rebuilt_of_one_window_is_not_overwritten_by_the_next() -> None:
    network = OnnxNetwork(projection_network(np.eye(3)))
    windows_BTF = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    rebuilt = [network.reconstruct(window_TF[None]) for window_TF in windows_BTF]
    assert np.array_equal(np.concatenate(rebuilt, axis=1), windows_BTF[None])


def test_single_windows_of_several_lengths_may_take_turns() -> None:
    network = OnnxNetwork(projection_network(2 * np.eye(3)))
    for length in (1, 2, 2, 1, 1, 3):
        window_BTF = np.full((1, length, 3), float(length))
        assert np.array_equal(network.reconstruct(window_BTF), 2 * window_BTF[None])


def test_threads_that_score_single_windows_do_not_get_in_each_others_way(
    detector: Detector,
) -> None:
    windows_BTF = press_line_rows(400, seed=9)[:, None, :]
    expected = [detector.verdict(window_TF) for window_TF in windows_BTF]
    found: dict[int, list[tuple[float, bool]]] = {}

    def score(number: int) -> None:
        found[number] = [detector.verdict(window_TF) for window_TF in windows_BTF]

    threads = [threading.Thread(target=score, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == expected for number in range(4))
