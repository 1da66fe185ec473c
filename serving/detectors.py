"""What a worker holds: the detector that the pointer names, swapped between two requests."""

import asyncio
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from kizashi.errors import KizashiError
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from serving.cache import Cache, Pointer, Stamp, stamp, verified

LOOK_SECONDS = 0.5
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One detector and where it comes from."""

    bundle: Bundle
    pointer: Pointer

    @cached_property
    def detector(self) -> Detector:
        return self.bundle.detector

    @property
    def name(self) -> str:
        return self.pointer.name

    @property
    def version(self) -> str:
        return self.pointer.version

    @property
    def source(self) -> str:
        return self.pointer.source

    @property
    def tags(self) -> dict[str, str]:
        """What leads back to data, commit and run."""
        return self.pointer.tags

    @property
    def since(self) -> str:
        """When this host began to serve it, RFC 3339."""
        return self.pointer.since

    @cached_property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that name the model which answered; a name that is not ASCII is quoted."""
        return (
            (b"x-model-name", quote(self.name, safe=PRINTABLE).encode()),
            (b"x-model-version", quote(self.version, safe=PRINTABLE).encode()),
        )


class Detectors:
    """The current detector of this worker; `problem` says why it is not the one pointed to.

    With a bundle `folder` to serve from, a worker that finds no pointer makes it itself: no
    registry is asked, so there is nothing to wait for.
    """

    def __init__(self, cache: Cache, folder: Path | None = None) -> None:
        self.cache = cache
        self.folder = folder
        self.current: Served | None = None
        self.problem: str | None = None
        self._seen: Stamp | None = None

    def refresh(self) -> Served | None:
        """Load what the pointer names if the pointer has moved; on failure keep what is held."""
        seen = stamp(self.cache.pointer_file)
        if seen is None and self.folder is not None:
            seen = self._adopt(self.folder)
        if seen is None or seen == self._seen:
            return self.current
        self._seen = seen
        pointer = self.cache.pointer()
        if pointer is None:
            self._fail(f"{self.cache.pointer_file} cannot be read")
        elif self.current is None or pointer != self.current.pointer:
            self._load(pointer)
        return self.current

    async def watch(self) -> None:
        """Follow the pointer until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if stamp(self.cache.pointer_file) != self._seen:
                await asyncio.to_thread(self.refresh)

    def why_none(self) -> str:
        """Why nothing is served, for people."""
        status = self.cache.status()
        if self.problem is not None:
            return self.problem
        if status is not None and status.refused is not None:
            return f"version {status.refused.version} was refused: {status.refused.reason}"
        if status is not None and status.problem is not None:
            return status.problem
        return "none has been loaded yet"

    def _adopt(self, folder: Path) -> Stamp | None:
        try:
            self.cache.adopt_folder(folder)
        except KizashiError as error:
            self.problem = str(error)
        return stamp(self.cache.pointer_file)

    def _load(self, pointer: Pointer) -> None:
        held = self.current
        if held is not None and held.bundle.hash == pointer.bundle:
            self.current, self.problem = Served(held.bundle, pointer), None
            return
        try:
            # Scoring its example also warms it up: the first run of a session is its slowest.
            folder = self.cache.bundle_folder(pointer.bundle)
            served = Served(verified(folder, pointer.bundle), pointer)
        except KizashiError as error:
            self._fail(str(error))
            return
        self.current, self.problem = served, None
        log.info("serving %s version %s, bundle %.12s", served.name, served.version, pointer.bundle)

    def _fail(self, problem: str) -> None:
        self.problem = problem
        kept = "nothing is served" if self.current is None else "the model held before stays"
        log.error("cannot load what the pointer names, %s: %s", kept, problem)
