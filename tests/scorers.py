"""Scorers, and windows for them, without a network or a file."""

import numpy as np
import numpy.typing as npt

from kizashi.runtime.scoring import (
    SCORERS,
    JointScore,
    NearestNormal,
    Rebuilt,
    ReconstructionError,
    Scorer,
    SensorRelations,
    StateRarity,
)

FloatArray = npt.NDArray[np.float64]


def unfitted(kind: str) -> Scorer:
    """A scorer of this kind; one that is made of others, as the default is."""
    if kind == JointScore.kind:
        return JointScore(
            [ReconstructionError(), NearestNormal(), StateRarity(), SensorRelations()]
        )
    return SCORERS[kind]()


def rebuilt(residual_BTF: FloatArray, scaled_BTF: FloatArray | None = None) -> Rebuilt:
    """Windows that a network of one member rebuilds with this residual; without windows given,
    the network answers 0."""
    if scaled_BTF is None:
        scaled_BTF = residual_BTF
    return Rebuilt(scaled_BTF, (scaled_BTF - residual_BTF)[None])
