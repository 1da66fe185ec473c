"""Where served models come from, as the follower sees it; it has the registry itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from kizashi.runtime.bundle import bundle_hash
from serving.following.cache import Versions

Reach = Literal["reachable", "unreachable", "not used"]


@dataclass(frozen=True)
class Target:
    """What should be served; `bundle` is its hash where it is known before the bundle is."""

    name: str
    version: str
    source: str
    bundle: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Where models come from."""

    reach: Reach
    """What `status.json` says of the registry while the source answers."""

    def resolve(self) -> Target:
        """What should be served now; raises KizashiError when that cannot be said."""

    def fetch(self, target: Target, folder: Path) -> Path:
        """The folder of the target's bundle, brought under `folder` if it has to be."""

    def notes(self) -> list[str]:
        """What people should know about where models come from."""

    def versions(self) -> Versions | None:
        """All versions there are, where there are several; None while nothing new is to be said.
        Raises KizashiError."""


class FolderSource:
    """One bundle folder; replacing what is in it is a promotion."""

    reach: Reach = "not used"

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def resolve(self) -> Target:
        bundle = bundle_hash(self.folder)
        return Target(self.folder.name, bundle[:12], str(self.folder), bundle)

    def fetch(self, target: Target, folder: Path) -> Path:
        return self.folder

    def notes(self) -> list[str]:
        return []

    def versions(self) -> Versions | None:
        return None
