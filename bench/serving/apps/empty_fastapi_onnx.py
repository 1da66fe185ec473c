"""The empty application beside an inference session that is loaded, as a service of models has."""

import os

import onnxruntime

from bench.serving.apps.empty_fastapi import app

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ["BENCH_NETWORK"], options, providers=["CPUExecutionProvider"]
)

__all__ = ["app"]
