"""The detector of a bundle, for servers that run Python written by their users."""

import os
from pathlib import Path

import numpy as np

from kizashi.runtime.bundle import load_bundle

detector = load_bundle(Path(os.environ["BENCH_BUNDLE"])).detector


def verdict(values: list[float]) -> dict[str, float | str]:
    """What the service answers to one row."""
    row_F = np.array(values, dtype=np.float64)
    if row_F.shape != (len(detector.contract.sensors),) or not np.isfinite(row_F).all():
        raise ValueError(f"{values} is no row of {len(detector.contract.sensors)} numbers")
    windows_BTF = row_F[None, None]
    score_B = detector.score(windows_BTF)
    anomaly = detector.decide(windows_BTF, score_B)[0]
    return {"score": float(score_B[0]), "status": "anomaly" if anomaly else "normal"}
