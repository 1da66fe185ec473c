"""What people decide of the threshold, and the threshold that comes of it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from kizashi.runtime.thresholds import Threshold
from kizashi.runtime.thresholds.evidence import CalibrationScores

Event = Literal["set", "undone", "replaced"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: a threshold of `bundle` was set, undone, or ended as another version took the
    bundle's place, which `why` names then. `at` is an RFC 3339 time; a later one has a larger `id`.
    """

    id: int
    at: str
    event: Event
    name: str
    version: str
    bundle: str
    value: float | None
    """The threshold that was set; None where there is none any more."""
    calibrated: float
    who: str
    why: str

    def holds(self, bundle: str) -> bool:
        """Whether it is in force for the bundle with this hash, as long as no other follows it."""
        return self.event == "set" and self.bundle == bundle


class Changes(msgspec.Struct, frozen=True):
    """Changes, the newest first, as a file keeps them."""

    changes: Sequence[Change] = ()


class Chosen(Threshold):
    """A threshold that a person chose. It promises nothing, and no bundle can hold it: its kind
    stands in no table of kinds."""

    kind = "chosen"

    def __init__(self, change: Change, calibrated: Threshold) -> None:
        super().__init__()
        assert change.value is not None
        self._value = change.value
        self.calibration_rows = calibrated.calibration_rows
        self.reason = f"set by {change.who}" + (f": {change.why}" if change.why else "")
        self.details = {"calibrated": calibrated.value}

    def _fit(self, evidence: CalibrationScores) -> float:
        return self.value  # whatever the scores are
