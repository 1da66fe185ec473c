import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kizashi.errors import BundleError
from kizashi.runtime.network import OnnxNetwork
from tests.bundles import projection_network


def test_a_network_rebuilds_windows_in_their_shape_for_each_member() -> None:
    network = OnnxNetwork(projection_network(np.diag([1.0, 2.0, 3.0])))
    windows_BTF = np.ones((5, 2, 3), dtype=np.float32)
    rebuilt_MBTF = network.reconstruct(windows_BTF)
    assert rebuilt_MBTF.dtype == np.float32
    assert np.array_equal(rebuilt_MBTF, (windows_BTF * np.array([1, 2, 3]))[None])


def test_a_strided_view_is_rebuilt_as_its_values() -> None:
    network = OnnxNetwork(projection_network(np.eye(3)))
    windows_BTF = np.arange(60, dtype=np.float32).reshape(3, 4, 5).swapaxes(0, 1)[..., ::2]
    assert np.array_equal(network.reconstruct(windows_BTF), windows_BTF[None])


@pytest.mark.parametrize("model", [b"", b"not a model", b"\x80\x04\x95pickle"])
def test_bytes_that_are_no_onnx_model_are_refused(model: bytes) -> None:
    with pytest.raises(BundleError, match=r"^the network is not a usable ONNX model: "):
        OnnxNetwork(model)


def test_a_network_with_two_inputs_is_refused() -> None:
    shape: list[str | int | None] = ["B", 1, 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["rebuilt"])],
        "sum",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "ab"],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    with pytest.raises(BundleError, match=r"^the network has 2 inputs and 1 outputs; one of each"):
        OnnxNetwork(model.SerializeToString())
