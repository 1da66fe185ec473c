"""The network as the runtime sees it: scaled windows in, what each member rebuilds out."""

import threading
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from kizashi.errors import BundleError


class Network(Protocol):
    """Rebuilds scaled windows."""

    def reconstruct(self, windows_BTF: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """What each member makes of windows (B, T, F), computed in single precision, shape
        (M, B, T, F)."""


class NoNetwork:
    """Rebuilds nothing: the stand-in for a scorer that does not look at what is rebuilt."""

    def reconstruct(self, windows_BTF: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """The windows as they came, from one member."""
        return windows_BTF[None]


class _OneWindow(threading.local):
    """Where a single window goes in and what is made of it comes out, a pair for each thread: ONNX
    Runtime reads and writes these arrays in place, which saves it a quarter of its time."""

    shape: tuple[int, ...] = ()
    window_BTF: npt.NDArray[np.float32]
    rebuilt_MBTF: npt.NDArray[np.float32]
    binding: onnxruntime.IOBinding


class OnnxNetwork:
    """A network stored as ONNX with one input (B, T, F) and one output (M, B, T, F).

    Raises BundleError when the bytes are not such a model.
    """

    def __init__(self, model: bytes) -> None:
        self.model = model
        options = onnxruntime.SessionOptions()
        # One thread: for networks of this size a thread pool costs more than it gives, and workers
        # scale by processes.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises many kinds, with no common base
            raise BundleError(f"the network is not a usable ONNX model: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(
                f"the network has {len(inputs)} inputs and {len(outputs)} outputs; "
                "one of each is needed"
            )
        self._input, self._outputs = inputs[0].name, [outputs[0].name]
        self._one = _OneWindow()

    def reconstruct(self, windows_BTF: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """What each member makes of windows (B, T, F), shape (M, B, T, F)."""
        one = self._one
        if one.shape == windows_BTF.shape:
            one.window_BTF[:] = windows_BTF
            self._session.run_with_iobinding(one.binding)
            return one.rebuilt_MBTF.copy()
        contiguous = np.ascontiguousarray(windows_BTF, dtype=np.float32)
        rebuilt: npt.NDArray[np.float32] = self._session.run(
            self._outputs, {self._input: contiguous}
        )[0]
        if len(contiguous) == 1:
            self._bind(np.empty_like(contiguous), np.empty_like(rebuilt))
        return rebuilt

    def _bind(
        self, window_BTF: npt.NDArray[np.float32], rebuilt_MBTF: npt.NDArray[np.float32]
    ) -> None:
        """Have this thread's next single windows of this shape rebuilt in these arrays."""
        one, from_numpy = self._one, onnxruntime.OrtValue.ortvalue_from_numpy
        one.binding = self._session.io_binding()
        one.binding.bind_ortvalue_input(self._input, from_numpy(window_BTF))
        one.binding.bind_ortvalue_output(self._outputs[0], from_numpy(rebuilt_MBTF))
        one.window_BTF, one.rebuilt_MBTF = window_BTF, rebuilt_MBTF
        one.shape = window_BTF.shape
