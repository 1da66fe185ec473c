"""A trained network as ONNX, checked against the network it came from."""

import io
import warnings

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from kizashi.errors import KizashiError
from kizashi.runtime.network import OnnxNetwork

PARITY = 1e-4
"""Largest difference allowed between both, in scaled units, relative to the value's size."""


def export_onnx(network: nn.Module, windows_BTF: npt.NDArray[np.float64]) -> bytes:
    """The network as an ONNX model with any number of windows; `windows_BTF` are scaled ones to
    check it on.

    Raises KizashiError when ONNX Runtime rebuilds them differently from torch.
    """
    inputs = torch.from_numpy(np.ascontiguousarray(windows_BTF, dtype=np.float32))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The older exporter takes 0.1 s and stores no source paths, so equal weights give equal
        # bytes everywhere; the newer one takes over 10 s for the first export.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (inputs,),
            buffer,  # type: ignore[arg-type]  # the older exporter takes a buffer
            dynamo=False,
            input_names=["windows"],
            output_names=["rebuilt"],
            dynamic_axes={"windows": {0: "B"}, "rebuilt": {1: "B"}},
        )
        expected = network(inputs).numpy()
    rebuilt = OnnxNetwork(buffer.getvalue()).reconstruct(inputs.numpy())
    difference = float(np.max(np.abs(rebuilt - expected) / np.maximum(1.0, np.abs(expected))))
    if not difference <= PARITY:
        raise KizashiError(
            f"the exported network differs from the trained one by {difference:.2g}; "
            f"at most {PARITY:g} is allowed"
        )
    return buffer.getvalue()
