"""Scorers: what the network made of a window to one score, and each sensor's share of it.

The table is closed: a bundle names its scorer by one of these kinds, never by an import path.
"""

from collections.abc import Mapping
from typing import Any

from kizashi.errors import BundleError
from kizashi.runtime.scoring.crowd import CrowdDistance
from kizashi.runtime.scoring.drift import DriftDistance
from kizashi.runtime.scoring.joint import JointScore
from kizashi.runtime.scoring.nearest import NearestNormal
from kizashi.runtime.scoring.rarity import StateRarity
from kizashi.runtime.scoring.relations import SensorRelations
from kizashi.runtime.scoring.residual_errors import (
    MahalanobisError,
    ReconstructionError,
    StandardisedError,
)
from kizashi.runtime.scoring.scorer import Rebuilt, Scorer

__all__ = [
    "SCORERS",
    "CrowdDistance",
    "DriftDistance",
    "JointScore",
    "MahalanobisError",
    "NearestNormal",
    "Rebuilt",
    "ReconstructionError",
    "Scorer",
    "SensorRelations",
    "StandardisedError",
    "StateRarity",
    "restore_scorer",
]

SCORERS: dict[str, type[Scorer]] = {
    scorer.kind: scorer
    for scorer in (
        ReconstructionError,
        StandardisedError,
        MahalanobisError,
        NearestNormal,
        CrowdDistance,
        DriftDistance,
        StateRarity,
        SensorRelations,
        JointScore,
    )
}


def restore_scorer(stored: Mapping[str, Any]) -> Scorer:
    """The stored scorer; raises BundleError for a kind that is not in the table."""
    if stored["kind"] not in SCORERS:
        raise BundleError(f"scorer kind is {stored['kind']!r}; known are {', '.join(SCORERS)}")
    return SCORERS[stored["kind"]].restore(stored, restore_scorer)
