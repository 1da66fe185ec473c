"""What is said of the threshold that is in force, wherever it is told."""

from pydantic import BaseModel, ConfigDict

from serving.following.detectors import Served
from serving.verdicts.openapi import Override


class InForce(BaseModel):
    """What is in force for what is served: `value`, which is `calibrated` unless a person set
    another."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    name: str
    version: str
    bundle: str
    value: float
    calibrated: float
    override: Override | None


def in_force(served: Served) -> InForce:
    """Of this detector."""
    return InForce(
        name=served.name,
        version=served.version,
        bundle=served.bundle.hash,
        value=served.detector.threshold.value,
        calibrated=served.calibrated,
        override=Override.of(served.change),
    )
