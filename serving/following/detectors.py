"""What a worker holds: the detector that the pointer names, swapped between two requests."""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from kizashi.errors import KizashiError
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from serving.following.cache import Cache, Pointer, Stamp, stamp, verified
from serving.threshold.change import Change, Chosen

LOOK_SECONDS = 0.5
RETRY_SECONDS = 5.0
"""What cannot be loaded is tried again after this time: a disk may have been full for a moment."""
MOST_REPLACED = 100
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One detector and where it comes from."""

    bundle: Bundle
    pointer: Pointer
    decided: Change | None = None
    """What was last decided of the threshold, whichever bundle it is about."""

    @cached_property
    def change(self) -> Change | None:
        """The threshold that a person set in the place of the calibrated one."""
        decided = self.decided
        return decided if decided is not None and decided.holds(self.bundle.hash) else None

    @cached_property
    def detector(self) -> Detector:
        detector = self.bundle.detector
        if self.change is None:
            return detector
        return replace(detector, threshold=Chosen(self.change, detector.threshold))

    @property
    def calibrated(self) -> float:
        """The threshold that the bundle came with, whichever is in force."""
        return self.bundle.detector.threshold.value

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
        """The headers that name the model which answered, and a threshold that a person set for it;
        a name that is not ASCII is quoted."""
        named = (
            (b"x-model-name", quote(self.name, safe=PRINTABLE).encode()),
            (b"x-model-version", quote(self.version, safe=PRINTABLE).encode()),
        )
        if self.change is None or self.change.value is None:
            return named
        return (*named, (b"x-threshold-override", repr(self.change.value).encode()))


class Detectors:
    """The current detector of this worker; `problem` says why it is not the one pointed to.

    With a bundle `folder` to serve from, a worker that finds no pointer makes it itself: no
    registry is asked, so there is nothing to wait for.

    Only `refresh` loads, in one thread at a time: at the start and then from `watch`.
    """

    def __init__(self, cache: Cache, folder: Path | None = None) -> None:
        self.cache = cache
        self.folder = folder
        self.current: Served | None = None
        self.problem: str | None = None
        self.swapped = 0
        """How often another version took the place of the one before."""
        self.failed = 0
        """How often what the pointer named could not be loaded, each problem once."""
        self.change: Change | None = None
        """What was last decided of the threshold, whichever bundle it is about."""
        self.replaced: deque[tuple[Served, str]] = deque(maxlen=MOST_REPLACED)
        """What was left for another bundle and the version that took its place, oldest first, until
        what was decided of it has been ended."""
        self._seen: Stamp | None = None
        self._threshold_seen: Stamp | None = None
        self._again = -math.inf
        self._looked = False
        self._lock = threading.Lock()

    def held(self) -> Served | None:
        """What requests are answered with, None when there is nothing.

        A worker that has nothing looks at once whether there is something by now: another one may
        have said already that the service is ready.
        """
        if self.current is None and (not self._looked or self._pointer_due()):
            self.refresh()
        return self.current

    def refresh(self) -> Served | None:
        """Load what the pointer names if the pointer has moved, or if it could not be loaded some
        seconds ago; on failure keep what is held."""
        with self._lock:
            try:
                if self._threshold_due():
                    self._look_at_threshold()
                if self._pointer_due():
                    self._look()
            except Exception as error:  # a worker must outlive what it cannot foresee
                self._fail(f"unexpected: {error!r}", trace=True)
            self._looked = True
            return self.current

    def take(self, change: Change | None) -> None:
        """Judge by this threshold from now on, as long as the bundle is the one it is about."""
        with self._lock:
            self._take(change)

    def hear(self, change: Change) -> None:
        """`take` it, unless a later decision is known already."""
        with self._lock:
            self._hear(change)

    async def watch(self) -> None:
        """Follow the pointer until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._pointer_due() or self._threshold_due():
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

    def _pointer_due(self) -> bool:
        return stamp(self.cache.pointer_file) != self._seen or time.monotonic() >= self._again

    def _threshold_due(self) -> bool:
        return stamp(self.cache.threshold_file) != self._threshold_seen

    def _look_at_threshold(self) -> None:
        self._threshold_seen = stamp(self.cache.threshold_file)
        changes = self.cache.threshold().changes
        # What this worker knows may be newer than what a slower one of the host wrote down.
        if changes:
            self._hear(changes[0])

    def _hear(self, change: Change) -> None:
        if self.change is None or change.id > self.change.id:
            self._take(change)

    def _take(self, change: Change | None) -> None:
        self.change, held = change, self.current
        if held is not None and held.decided != change:
            self.current = now = replace(held, decided=change)  # at once, as it is told together
            if now.change != held.change:
                value = now.detector.threshold.value
                log.info("version %s is judged by the threshold %g", now.version, value)

    def _look(self) -> None:
        self._seen, self._again = stamp(self.cache.pointer_file), math.inf
        if self._seen is None and self.folder is not None:
            self._adopt(self.folder)
        if self._seen is None:
            return
        pointer = self.cache.pointer()
        if pointer is None:
            self._fail(f"{self.cache.pointer_file} cannot be read")
        elif self.current is None or pointer != self.current.pointer:
            self._load(pointer)
        else:
            self.problem = None

    def _adopt(self, folder: Path) -> None:
        try:
            self.cache.adopt_folder(folder)
        except KizashiError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"bundle {folder} cannot be kept in the cache: {error}")
        else:
            self._seen = stamp(self.cache.pointer_file)

    def _load(self, pointer: Pointer) -> None:
        held = self.current
        if held is not None and held.bundle.hash == pointer.bundle:
            self.swapped += (held.name, held.version) != (pointer.name, pointer.version)
            self.current, self.problem = replace(held, pointer=pointer), None
            return
        try:
            # Scoring its example also warms it up: the first run of a session is its slowest.
            folder = self.cache.bundle_folder(pointer.bundle)
            bundle = verified(folder, pointer.bundle)
            served = Served(bundle, pointer, self.change)
        except KizashiError as error:
            self._fail(str(error))
            return
        if held is not None:
            self.swapped += 1
            self.replaced.append((held, served.version))
        self.current, self.problem = served, None
        log.info("serving %s version %s, bundle %.12s", served.name, served.version, pointer.bundle)

    def _fail(self, problem: str, *, trace: bool = False) -> None:
        self._again = time.monotonic() + RETRY_SECONDS
        before, self.problem = self.problem, problem
        if problem != before:  # counted and said once, however often it is tried
            kept = "nothing is served" if self.current is None else "the model held before stays"
            self.failed += 1
            log.error("cannot load the model, %s: %s", kept, problem, exc_info=trace)
