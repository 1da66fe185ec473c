"""The binary tensor data extension of the Open Inference Protocol.

A body is JSON followed by the bytes of the tensors that say `binary_data_size`, in their order; the
header `Inference-Header-Content-Length` says where the JSON ends. Numbers are little-endian and
row-major, without padding; an element of BYTES is its length (4 bytes, unsigned) and its bytes.

Source: Triton Inference Server, "Binary Tensor Data Extension".
"""

import math
import struct
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from kizashi.runtime.contract import shown
from serving.errors import MalformedBody, invalid
from serving.http.requests import Headers, header

LENGTH = b"inference-header-content-length"
OCTETS = b"application/octet-stream"
SIZE = "binary_data_size"

DTYPES: dict[str, str] = {
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
"""The datatypes that are numbers, as NumPy reads their bytes."""


def split(headers: Headers, body: bytes) -> tuple[bytes, memoryview]:
    """The JSON of a body and the bytes behind it; raises MalformedBody."""
    said = header(headers, LENGTH).strip()
    view = memoryview(body)
    if not said:
        return body, view[len(body) :]
    if not said.isdigit() or int(said[:20]) > len(body):
        shown = said[:40].decode("latin-1")
        raise MalformedBody(
            f"Inference-Header-Content-Length is {shown!r}; the length of the JSON is needed, at "
            f"most the {len(body)} bytes of the body"
        )
    length = int(said)
    return body[:length], view[length:]


def cut(sizes: Iterable[tuple[str, object]], rest: memoryview) -> dict[str, memoryview]:
    """The bytes of each tensor, by its name, from `sizes`: names with what each says is its size.

    Raises InvalidRow when the sizes are not those of what came.
    """
    tensors, start = {}, 0
    for name, size in sizes:
        left = len(rest) - start
        if type(size) is not int or not 0 <= size <= left:
            raise invalid(
                f"{SIZE} of input {name[:60]!r} is {shown(size)}; a whole number is needed, at "
                f"most the {left} bytes that are left behind the JSON"
            )
        tensors[name] = rest[start : start + size]
        start += size
    if start < len(rest):
        raise invalid(
            f"{len(rest)} bytes came behind the JSON, and the inputs' {SIZE} are {start} in all"
        )
    return tensors


def numbers(
    name: str, datatype: str, shape: Sequence[int], raw: memoryview
) -> npt.NDArray[np.float64]:
    """The values of an input tensor, flat; raises InvalidRow when the bytes are not that many."""
    dtype = np.dtype(DTYPES[datatype])
    needed = math.prod(shape) * dtype.itemsize
    if len(raw) != needed:
        raise invalid(
            f"input {name[:60]!r} has {len(raw)} bytes; {datatype} of shape {list(shape)} has "
            f"{needed}"
        )
    return np.frombuffer(raw, dtype).astype(np.float64)


def packed(values: npt.NDArray[np.float64] | list[str]) -> bytes:
    """The bytes of an output: FP64, or BYTES for texts."""
    if isinstance(values, list):
        texts = (text.encode() for text in values)
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return values.astype("<f8").tobytes()
