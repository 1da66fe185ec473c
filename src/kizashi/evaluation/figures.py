"""Pictures of a run: the errors with the threshold, and the losses."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from kizashi.runtime.detector import Detector


def error_histogram(detector: Detector, faulty_scores: Sequence[float] = ()) -> Figure:
    """Calibration scores with the threshold; scores of faulty rows beside them if there are any.

    Both axes are logarithmic: what matters is the thin tail near the threshold.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    normal = detector.calibration.scores
    faulty = np.asarray(faulty_scores)
    every = np.concatenate([normal, faulty, [detector.threshold.value]])
    smallest = max(float(every[every > 0].min(initial=1.0)), 1e-9)
    edges = np.geomspace(smallest, max(float(every.max()), smallest * 10), 80).tolist()
    # A score of 0 has no place on a logarithmic axis: it is counted in the first bar.
    axes.hist(
        np.maximum(normal, edges[0]),
        edges,
        color="#3b7ea1",
        label="normal, held out for calibration",
    )
    if len(faulty):
        axes.hist(
            np.maximum(faulty, edges[0]),
            edges,
            color="#c4572e",
            alpha=0.6,
            label="labelled as faulty",
        )
    value = detector.threshold.value
    axes.axvline(value, color="black", linestyle="--", label=f"threshold {value:.4g}")
    axes.set(xscale="log", yscale="log", xlabel="score", ylabel="rows")
    axes.legend()
    return figure


def loss_curves(losses: Mapping[str, Sequence[float]]) -> Figure:
    """Each loss by epoch."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        axes.plot(range(1, len(values) + 1), values, label=name.replace("_", " "))
    axes.set(yscale="log", xlabel="epoch", ylabel="mean squared error, scaled")
    axes.legend()
    return figure
