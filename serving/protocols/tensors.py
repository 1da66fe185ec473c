"""The input tensors of an Open Inference request, to windows that can be scored.

The model's one input is `values`: rows in the order of the data contract, shape (B, F), or windows,
shape (B, T, F). A client that sends one tensor for each column of a table, as MLServer's do, names
them after the sensors instead.

JSON numbers are read as they are written, whatever the tensor's datatype: they are not rounded to
single precision first, so that the score is the one that POST /anomaly gives.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from kizashi.runtime.contract import DataContract, shown
from serving.errors import invalid
from serving.protocols import binary_tensors
from serving.protocols.binary_tensors import DTYPES, SIZE
from serving.protocols.values import named, read_cells, require_windows

INPUT = "values"
NO_NUMBERS = "a sensor's values are numbers, one of " + ", ".join(DTYPES)

FloatArray = npt.NDArray[np.float64]


class InputTensor(msgspec.Struct):
    """One of a request's `inputs`."""

    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] = {}


def read_windows(
    inputs: Sequence[InputTensor], rest: memoryview, contract: DataContract
) -> FloatArray:
    """The windows of all inputs, shape (B, T, F), from JSON and the binary `rest` behind it.

    Raises InvalidRow.
    """
    length, width = contract.window_length, len(contract.sensors)
    names = [tensor.name for tensor in inputs]
    if names == [INPUT]:
        row_shapes = [[width], [1, width]] if length == 1 else [[length, width]]
    elif sorted(names) == sorted(contract.names):
        row_shapes = [[], [1]] if length == 1 else [[length], [length, 1]]
    else:
        came = ", ".join(map(shown, names[:20])) or "none"
        needed = f"one named '{INPUT}' is needed, or one for each sensor ({named(contract)})"
        raise invalid(f"the inputs are {came}; {needed}")
    for tensor in inputs:
        _check(tensor, row_shapes, inputs[0])
    sized = [(one.name, one.parameters[SIZE]) for one in inputs if SIZE in one.parameters]
    binary = binary_tensors.cut(sized, rest)
    batch = inputs[0].shape[0]
    if names == [INPUT]:
        windows_BTF = _values(inputs[0], binary, contract).reshape(batch, length, width)
    else:
        column = {
            tensor.name: _values(tensor, binary, _alone(tensor.name, contract)) for tensor in inputs
        }
        flat_BT_F = np.stack([column[name] for name in contract.names], axis=-1)
        windows_BTF = flat_BT_F.reshape(batch, length, width)
    require_windows(windows_BTF, contract)
    return windows_BTF


def _check(tensor: InputTensor, row_shapes: Sequence[list[int]], first: InputTensor) -> None:
    """Raise InvalidRow for a datatype or shape that is not read."""
    name, shape = tensor.name, tensor.shape
    if tensor.datatype not in DTYPES:
        raise invalid(f"datatype of input '{name}' is {shown(tensor.datatype)}; {NO_NUMBERS}")
    if not shape or shape[1:] not in row_shapes:
        needed = ", ".join(["B", *map(str, row_shapes[0])])
        came = f"[{', '.join(map(str, shape[:9]))}]"[:60]
        raise invalid(
            f"shape of input '{name}' is {came}; [{needed}] is needed, where B is how many are to "
            "be scored"
        )
    if shape[0] != first.shape[0]:
        raise invalid(f"input '{name}' is for {shape[0]}, and '{first.name}' for {first.shape[0]}")
    if shape[0] == 0:
        raise invalid(f"shape of input '{name}' is {shape}; nothing is to be scored")


def _alone(name: str, contract: DataContract) -> DataContract:
    """The contract of one sensor, for what is sent of it alone."""
    return DataContract((contract.sensors[contract.names.index(name)],), contract.window_length)


def _values(
    tensor: InputTensor, binary: Mapping[str, memoryview], contract: DataContract
) -> FloatArray:
    """The values of one tensor with the sensors of `contract`, flat."""
    raw = binary.get(tensor.name)
    if raw is not None:
        if tensor.data is not None:
            raise invalid(f"input '{tensor.name}' has both data and {SIZE}; one is needed")
        return binary_tensors.numbers(tensor.name, tensor.datatype, tensor.shape, raw)
    cells = flat(tensor)
    if not tensor.datatype.startswith("FP"):
        _require_whole(tensor, cells)
    length, width = contract.window_length, len(contract.sensors)
    rows = [tensor.shape[0]] if length == 1 else [tensor.shape[0], length]
    return read_cells(cells, [*rows, width], contract)


def flat(tensor: InputTensor) -> list[Any]:
    """The cells of `data`, which may be flat, or nested as `shape` says; raises InvalidRow."""
    data, shape = tensor.data, tensor.shape
    if not isinstance(data, list):
        needed = "a list of numbers is needed, or binary data"
        raise invalid(f"data of input '{tensor.name}' is {shown(data)}; {needed}")
    depth = 0
    while data and all(isinstance(part, list) for part in data):
        depth += 1
        if (
            depth == len(shape)
            or len(data) != math.prod(shape[:depth])
            or any(len(part) != shape[depth] for part in data)
        ):
            raise invalid(f"data of input '{tensor.name}' is not nested as its shape {shape} is")
        data = list(chain.from_iterable(data))
    if len(data) != math.prod(shape):
        raise invalid(
            f"data of input '{tensor.name}' has {len(data)} values; its shape {shape} has "
            f"{math.prod(shape)}"
        )
    return data


def _require_whole(tensor: InputTensor, cells: Sequence[Any]) -> None:
    for cell in cells:
        if isinstance(cell, float) and math.isfinite(cell) and not cell.is_integer():
            needed = "FP64 is for numbers that are not whole"
            raise invalid(f"input '{tensor.name}' is {tensor.datatype} and has {cell}; {needed}")
