"""What can go wrong, as one small tree; it knows no HTTP and no command line.

KizashiError
├── ConfigurationError   an option or setting has a value that cannot be used
├── DataError            training or scoring data cannot be used as a whole
├── InvalidRow           one row (or window) of values cannot be scored; carries every problem found
├── NotCalibrated        a detector was asked for a verdict before it had a threshold
├── UnusableScore        a detector's score is no finite number
├── BundleError          a bundle is missing, incomplete, altered or of an unknown format
└── RegistryError        the model registry does not have what was asked for
    └── RegistryUnreachable   it cannot be asked
"""

from collections.abc import Sequence
from dataclasses import dataclass


class KizashiError(Exception):
    """Anything this project raises on purpose; its text is fit to be shown to the user."""


class ConfigurationError(KizashiError):
    """An option or setting has a value that cannot be used."""


class DataError(KizashiError):
    """Training or scoring data cannot be used as a whole."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a row.

    `sensor` is None when the row as a whole is wrong (its length, say); `row` counts from 0 within
    the request or file, and is None when only one row was given.
    """

    detail: str
    sensor: str | None = None
    row: int | None = None


class InvalidRow(KizashiError):
    """A row that cannot be scored, with every problem found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.detail for problem in self.problems))


class NotCalibrated(KizashiError):
    """A part was used before it was fitted; an uncalibrated detector never answers."""


class UnusableScore(KizashiError):
    """A detector's score is not a finite number: no threshold catches it, so it must never pass
    for `normal`."""


class BundleError(KizashiError):
    """A bundle is missing, incomplete, altered or of an unknown format."""


class RegistryError(KizashiError):
    """The model registry does not have what was asked for."""


class RegistryUnreachable(RegistryError):
    """The model registry, or the store behind it, cannot be asked."""
