"""FastAPI and pydantic around the forward pass of a network of the default model's size."""

import os
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, HTTPException

from bench.serving.apps.empty_fastapi import Row, Verdict

FloatArray = npt.NDArray[np.float32]

app = FastAPI()
WIDTHS = [int(width) for width in os.environ["BENCH_WIDTHS"].split(",")]
MEMBERS = int(os.environ["BENCH_MEMBERS"])
rng = np.random.default_rng(0)
LAYERS = [
    [
        (rng.normal(0, narrow**-0.5, (narrow, wide)).astype(np.float32), np.zeros(wide, np.float32))
        for narrow, wide in pairwise(WIDTHS)
    ]
    for _ in range(MEMBERS)
]


def rebuilt(row_F: FloatArray, layers: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """What one member makes of a row."""
    hidden = row_F @ layers[0][0] + layers[0][1]
    for weight, bias in layers[1:]:
        hidden = hidden / (1 + np.exp(-hidden))
        hidden = hidden @ weight + bias
    return hidden


@app.post("/anomaly")
async def anomaly(row: Row) -> Verdict:
    """The mean squared error of what the members rebuild."""
    if len(row.values) != WIDTHS[0]:
        raise HTTPException(422, f"{len(row.values)} values came; {WIDTHS[0]} are needed")
    row_F = np.array(row.values, dtype=np.float32)
    whole_MF = np.stack([rebuilt(row_F, layers) for layers in LAYERS])
    score = float(np.square(row_F - whole_MF.mean(axis=0)).mean())
    return Verdict(score=score, status="anomaly" if score > 1 else "normal")


@app.get("/ready")
async def ready() -> dict[str, str]:
    """Always."""
    return {"status": "ready"}
