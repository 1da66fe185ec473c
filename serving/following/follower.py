"""The process that follows the model: `python -m serving.following.follower`.

resolve → fetch → verify → score the bundle's own example → keep → move the pointer. On any failure
the pointer stays, and `status.json` says why. One such process runs for each host and followed
model; the workers start it, hold its standard input open, and it ends when that closes. It is the
only process of the service that imports MLflow.
"""

import argparse
import logging
import logging.config
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kizashi.errors import ConfigurationError, KizashiError, RegistryUnreachable
from kizashi.registry import DEFAULT_NAME, ModelVersion, Registry
from kizashi.terminal import quiet_when_unread
from serving.companion import end_with_parent
from serving.following.cache import INCOMING, Cache, Refused, Status, Versions, now
from serving.following.catalogue import Catalogue
from serving.following.follower_lock import take_lock
from serving.following.sources import FolderSource, Reach, Source, Target
from serving.logs import hidden, log_config
from serving.settings import SQLITE, Settings, read_settings

REFUSED_AGAIN_SECONDS = 30.0
"""A refused version is tried again after this time: its download may have been cut short."""

NOTES_AGAIN_SECONDS = 60.0
"""Notes need every version of the model, too much to ask for at every look."""

MODULE = "serving.following.follower"
"""It runs as a process of its own, where `__name__` says nothing."""

log = logging.getLogger(MODULE)


class RegistrySource:
    """A model URI in an MLflow registry."""

    reach: Reach = "reachable"

    def __init__(self, uri: str, tracking_uri: str) -> None:
        self.uri = uri
        unpinned = re.fullmatch("models:/([^/@]+)", uri)
        self.registry = Registry(tracking_uri, unpinned[1] if unpinned else DEFAULT_NAME)
        self._decides = unpinned is not None  # between an alias and a stage, as notes tell
        self._found: ModelVersion
        self._notes: tuple[str, float, list[str]] | None = None
        named = re.match("models:/([^/@]+)", uri)
        self._catalogue = Catalogue(tracking_uri, named[1]) if named else None

    def resolve(self) -> Target:
        store = self.registry.uri.removeprefix(SQLITE)
        if store != self.registry.uri and not Path(store).exists():
            # MLflow would make an empty one, which takes seconds and helps nobody.
            raise RegistryUnreachable(f"the registry {store} does not exist yet")
        found = self.registry.resolve(self.uri)
        tags = dict(found.tags)
        if found.run_id:
            tags.setdefault("run_id", found.run_id)
        self._found = found
        return Target(found.name, found.version, found.source, tags.get("bundle_hash"), tags)

    def fetch(self, target: Target, folder: Path) -> Path:
        return self.registry.download(self._found, folder)

    def notes(self) -> list[str]:
        if not self._decides:
            return []
        found = self._found.version
        if self._notes is not None:
            version, since, notes = self._notes
            if version == found and time.monotonic() - since < NOTES_AGAIN_SECONDS:
                return notes
        notes = self.registry.notes()
        self._notes = (found, time.monotonic(), notes)
        return notes

    def versions(self) -> Versions | None:
        if self._catalogue is None:
            return None
        return self._catalogue.look(self._found.version)


class Follower:
    """Keeps the pointer of a cache at what its source resolves to."""

    def __init__(self, source: Source, cache: Cache) -> None:
        self.source = source
        self.cache = cache
        self._verified: str | None = None
        self._refused: tuple[Target, Refused, float] | None = None
        self._refusals = 0
        self._status: Status | None = None
        self._written: Status | None = None
        self._unwritable: str | None = None

    def check(self) -> Status:
        """Look once, move the pointer if it has to be moved, and write down what is known."""
        previous = self._status
        reach, problem, refused, notes = self.source.reach, None, None, []
        try:
            target = self.source.resolve()
            notes = self.source.notes()
            refused = self._follow(target)
        except KizashiError as error:
            problem = str(error)
            if isinstance(error, RegistryUnreachable):
                reach = "unreachable"
        except Exception as error:  # this process must outlive what it cannot foresee
            problem = f"unexpected: {error!r}"
            if previous is None or previous.problem != problem:
                log.exception("the follower met what it did not expect")
        status = Status(
            registry=reach,
            problem=None if problem is None else hidden(problem),
            refused=refused,
            notes=notes,
            since=now(),
            refusals=self._refusals,
        )
        said = self._say(status)
        if problem is None:
            self._list_versions()
        return said

    def _list_versions(self) -> None:
        """Leave what there is to choose from where the pages find it; it serves nobody to know why
        that failed, as the next look tries again."""
        try:
            versions = self.source.versions()
            if versions is not None and versions != self.cache.versions():
                self.cache.write_versions(versions)
        except (KizashiError, OSError) as error:
            log.debug("the versions cannot be listed: %s", error)

    def _follow(self, target: Target) -> Refused | None:
        """Serve `target`; the refusal if it must not be served."""
        if self._serves(target):
            self._refused = None
            return None
        if self._refused is not None:
            target_before, refusal, since = self._refused
            if target_before == target and time.monotonic() - since < REFUSED_AGAIN_SECONDS:
                return refusal
        try:
            self._adopt(target)
        except KizashiError as error:
            if isinstance(error, RegistryUnreachable):
                raise
            refusal = Refused(version=target.version, reason=hidden(str(error)))
            if self._refused is None or self._refused[0] != target:
                self._refusals += 1
            self._refused = (target, refusal, time.monotonic())
            return refusal
        self._refused = None
        return None

    def _serves(self, target: Target) -> bool:
        pointer = self.cache.pointer()
        if pointer is None or (target.bundle or pointer.bundle) != pointer.bundle:
            return False
        pointed = (pointer.name, pointer.version, pointer.source, pointer.tags)
        if pointed != (target.name, target.version, target.source, dict(target.tags)):
            return False
        if self._verified != pointer.bundle and self.cache.holds(pointer.bundle):
            self._verified = pointer.bundle
        return self._verified == pointer.bundle

    def _adopt(self, target: Target) -> None:
        self.cache.create()
        with tempfile.TemporaryDirectory(dir=self.cache.bundles, prefix=INCOMING) as incoming:
            if target.bundle is not None and self.cache.holds(target.bundle):
                folder = self.cache.bundle_folder(target.bundle)
            else:
                folder = self.source.fetch(target, Path(incoming))
            pointer = self.cache.adopt(
                folder,
                name=target.name,
                version=target.version,
                source=target.source,
                tags=target.tags,
            )
        self._verified = pointer.bundle
        log.info("now %s version %s, bundle %.12s", target.name, target.version, pointer.bundle)

    def _say(self, status: Status) -> Status:
        """Write and log the status if it says something new."""
        previous = self._status
        if previous is not None and previous == msgspec.structs.replace(
            status, since=previous.since
        ):
            status = previous
        else:
            self._log(status, previous)
        self._status = status
        if self._written is not status:
            self._write(status)
        return status

    def _write(self, status: Status) -> None:
        """Write the status down; where that cannot be done now, the next look tries again."""
        try:
            self.cache.write_status(status)
        except OSError as error:  # a full disk must not end this process
            if self._unwritable != error.strerror:
                log.error("%s cannot be written: %s", self.cache.status_file, error.strerror)
            self._unwritable = error.strerror
            return
        self._written, self._unwritable = status, None

    def _log(self, status: Status, previous: Status | None) -> None:
        if status.refused is not None and (previous is None or previous.refused != status.refused):
            log.error(
                "REFUSED version %s, what was served stays: %s",
                status.refused.version,
                status.refused.reason,
            )
        if status.problem is not None:
            log.warning("%s", status.problem)
        elif previous is not None and previous.problem is not None:
            log.info("the model can be resolved again")
        for note in status.notes:
            log.warning("%s", note)


def follow(settings: Settings) -> Follower:
    """The follower for `settings`."""
    folder = settings.bundle_folder
    source: Source = (
        RegistrySource(settings.model_uri, settings.tracking_uri)
        if folder is None
        else FolderSource(folder)
    )
    cache = Cache(settings.cache, settings.key)
    cache.create()
    return Follower(source, cache)


@quiet_when_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the parent is gone, or until Ctrl-C when started by hand."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--lock", type=int, help="a descriptor that holds the lock (for workers)")
    inherited: int | None = parser.parse_args(arguments).lock
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")  # its records come with ours
    try:
        settings = read_settings()
        logging.config.dictConfig(log_config(settings.log_format))
        follower = follow(settings)
    except ConfigurationError as error:
        log.error("%s", error)
        return 1
    if inherited is not None:
        threading.Thread(target=end_with_parent, daemon=True).start()
    elif take_lock(follower.cache.lock_file) is None:
        log.info("another follower runs already")
        return 0
    store = store_of(settings)
    try:
        while True:
            follower.check()
            time.sleep(settings.poll_seconds)
            if (now_there := store_of(settings)) is None or now_there == store:
                continue
            if store is not None:
                log.info("the registry's file was replaced; starting again on the new one")
                again = sys.argv[1:] if arguments is None else arguments
                os.execv(sys.executable, [sys.executable, "-m", MODULE, *again])
            store = now_there
    except KeyboardInterrupt:
        return 0


def store_of(settings: Settings) -> tuple[int, int] | None:
    """Which file a SQLite registry is, None where there is none.

    MLflow keeps its connection to a file that was deleted and made anew, and would go on reading
    the old one.
    """
    file = settings.tracking_uri.removeprefix(SQLITE)
    if settings.bundle_folder is not None or file == settings.tracking_uri:
        return None
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


if __name__ == "__main__":
    sys.exit(main())
