"""Small real bundles for tests that need a detector but no training."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from kizashi.runtime.bundle import Bundle, save_bundle
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.detector import Detector, rebuild
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scaling import StandardScaler
from kizashi.runtime.scoring import ReconstructionError
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import sliding_windows

PRESS_LINE = (
    Sensor("vibration", "mm/s", 0.0, 20.0),
    Sensor("current", "A", 0.0, 10.0),
    Sensor("sound", "Pa", 0.0, 20.0),
)
NORMAL_ROW = [1.2, 0.9, 1.1]
ANOMALOUS_ROW = [1.0, 2.0, 3.0]


def press_line_rows(count: int = 4000, seed: int = 0) -> npt.NDArray[np.float64]:
    """Normal rows near one line through (1.2, 0.9, 1.1), shape (count, 3)."""
    rng = np.random.default_rng(seed)
    load = rng.uniform(-0.5, 0.5, count)
    rows_NF = np.array(NORMAL_ROW) + load[:, None] * np.array([1.0, 0.6, 0.9])
    noise_NF: npt.NDArray[np.float64] = rng.normal(0, 0.02, (count, 3))
    return np.asarray(rows_NF + noise_NF)


def projection_network(projection_FF: npt.NDArray[np.float64]) -> bytes:
    """An ONNX network of one member that rebuilds scaled rows as `x @ projection`: a linear
    autoencoder."""
    shape: list[str | int | None] = ["B", "T", len(projection_FF)]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["windows", "projection"], ["one"]),
            helper.make_node("Unsqueeze", ["one", "first"], ["rebuilt"]),
        ],
        "projection",
        [helper.make_tensor_value_info("windows", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, [1, *shape])],
        [
            numpy_helper.from_array(projection_FF.astype(np.float32), "projection"),
            numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def press_line_bundle(
    folder: Path,
    *,
    seed: int = 0,
    alpha: float = 0.01,
    window_length: int = 1,
    sensors: tuple[Sensor, ...] = PRESS_LINE,
) -> Bundle:
    """A bundle for three sensors; another `seed` gives another hash and slightly other scores. With
    fewer `sensors` than that it has the first of them."""
    rows_NF = press_line_rows(seed=seed)[:, : len(sensors)]
    scaler = StandardScaler().fit(rows_NF)
    _, _, directions = np.linalg.svd(scaler.transform(rows_NF), full_matrices=False)
    network = projection_network(np.outer(directions[0], directions[0]))
    windows_BTF = np.asarray(sliding_windows(rows_NF, window_length))
    seen = rebuild(scaler, OnnxNetwork(network), windows_BTF)
    scorer = ReconstructionError().fit(seen)
    scores = scorer.score(seen)
    detector = Detector(
        contract=DataContract(sensors, window_length),
        scaler=scaler,
        network=OnnxNetwork(network),
        scorer=scorer,
        calibration=Calibration(scores),
        threshold=ConformalThreshold(alpha).fit(scores),
    )
    example_TF = np.tile(NORMAL_ROW[: len(sensors)], (window_length, 1))
    return save_bundle(detector, network, example_TF, folder)
