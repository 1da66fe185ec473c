"""What is said of the threshold that is in force, wherever it is told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
    decision: Annotated[
        int | None,
        Field(description="The newest decision that the answering worker knows"),
    ]


def in_force(served: Served) -> InForce:
    """Of this detector."""
    return InForce(
        name=served.name,
        version=served.version,
        bundle=served.bundle.hash,
        value=served.detector.threshold.value,
        calibrated=served.calibrated,
        override=Override.of(served.change),
        decision=None if served.decided is None else served.decided.id,
    )
