"""The cache: verified bundles, and one pointer to what is served.

    bundles/HASH/             a verified bundle, named by its hash
    KEY/pointer.json          what the workers serve, and where it comes from
    KEY/status.json           what the follower knows
    KEY/versions.json         what it knows of all registered versions
    KEY/served.json           what the pointer named, one after the other
    KEY/threshold.json        the threshold that a person set last
    KEY/follower.lock         held by the one follower of this host and key

KEY is `Settings.key`. Every file appears whole: it is written beside its place and moved there.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from kizashi.errors import BundleError, ConfigurationError, KizashiError
from kizashi.runtime.bundle import Bundle, bundle_files, bundle_hash, load_bundle
from serving.following.follower_lock import holder
from serving.threshold.change import Changes

KEPT_BUNDLES = 5
"""How many bundles stay in the cache: a rollback then needs no download."""
KEPT_POINTERS = 50
"""How many of the pointers before it are remembered."""

INCOMING = ".incoming-"
NEW = ".new-"
ABANDONED_SECONDS = 3600


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """What is served; `tags` lead back to data, commit and run, `since` is an RFC 3339 time."""

    bundle: str
    name: str
    version: str
    source: str
    tags: dict[str, str] = {}
    since: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A version that the follower would not serve."""

    version: str
    reason: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the follower knows; `since` is when it last changed, `refusals` how many versions it has
    refused since it started, and `follower` which of all followers says so."""

    registry: Literal["reachable", "unreachable", "not used"]
    problem: str | None = None
    refused: Refused | None = None
    notes: list[str] = []
    since: str
    refusals: int = 0
    follower: str = ""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version; `created` is an RFC 3339 time, `page` where MLflow shows it, if it has
    pages; `metrics` are those of the run that made it."""

    version: str
    aliases: list[str] = []
    tags: dict[str, str] = {}
    run_id: str = ""
    created: str = ""
    page: str = ""
    metrics: dict[str, float] = {}


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """The registered versions of the model `name`, newest first; `more` are older and left out."""

    name: str
    versions: list[Version] = []
    more: int = 0


class Pointers(msgspec.Struct, frozen=True):
    """What the pointer has named, newest first."""

    pointers: list[Pointer] = []


class Stamp(NamedTuple):
    """Tells one content of a file from another without reading it. A file that is changed in place
    twice within a tick of the system's clock differs by its size, if by anything."""

    inode: int
    modified_ns: int
    size: int


T = TypeVar("T", Pointer, Pointers, Status, Versions, Changes)


class Cache:
    """The files of one cache folder and key."""

    def __init__(self, folder: Path, key: str) -> None:
        self.bundles = folder / "bundles"
        self.own = folder / key
        self.pointer_file = self.own / "pointer.json"
        self.status_file = self.own / "status.json"
        self.versions_file = self.own / "versions.json"
        self.served_file = self.own / "served.json"
        self.threshold_file = self.own / "threshold.json"
        self.lock_file = self.own / "follower.lock"

    def create(self) -> None:
        """Make the folders; raises ConfigurationError when nothing can be written there."""
        try:
            self.bundles.mkdir(parents=True, exist_ok=True)
            self.own.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.own, prefix=NEW):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"KIZASHI_CACHE is '{self.bundles.parent}' and cannot be written to "
                f"({error.strerror}); a folder that the service may write to is needed"
            ) from error

    def pointer(self) -> Pointer | None:
        """What is served; None when there is no pointer, or none that can be read."""
        return _read(self.pointer_file, Pointer)

    def status(self) -> Status | None:
        """What the follower last said, None until it has: what one before it said is no longer
        true of now."""
        status = _read(self.status_file, Status)
        return status if status is not None and status.follower == self.follower() else None

    def follower_spoke(self) -> bool:
        """Whether the follower that runs has said anything, rather than one before it."""
        return self.follower() != "" and self.status() is not None

    def follower(self) -> str:
        """Which follower holds the lock, or held it last."""
        try:
            return holder(self.lock_file)
        except OSError:
            return ""

    def write_status(self, status: Status) -> None:
        """Say this as the follower that holds the lock."""
        status = msgspec.structs.replace(status, follower=self.follower())
        _write(self.status_file, status)

    def versions(self) -> Versions | None:
        """What the follower knows of registered versions; None where there is no registry."""
        return _read(self.versions_file, Versions)

    def write_versions(self, versions: Versions) -> None:
        """Say what there is in the registry."""
        _write(self.versions_file, versions)

    def served(self) -> list[Pointer]:
        """What this host has served, newest first."""
        found = _read(self.served_file, Pointers)
        return [] if found is None else found.pointers

    def threshold(self) -> Changes:
        """What was last decided of the threshold, as far as this host knows."""
        return _read(self.threshold_file, Changes) or Changes()

    def write_threshold(self, changes: Changes) -> None:
        """Let the workers of this host know it, and those that start after them."""
        _write(self.threshold_file, changes)

    def bundle_folder(self, bundle: str) -> Path:
        """Where the bundle with this hash lies, if it is cached."""
        return self.bundles / bundle

    def adopt(
        self, folder: Path, *, name: str, version: str, source: str, tags: Mapping[str, str]
    ) -> Pointer:
        """Verify the bundle in `folder`, keep it, and point to it.

        Raises BundleError or NotCalibrated, and then leaves the pointer where it was, when the
        bundle is altered, does not score its own example as it should, or is not the one that
        `tags["bundle_hash"]` names.
        """
        bundle = bundle_hash(folder)
        promised = tags.get("bundle_hash", bundle)
        if bundle != promised:
            raise BundleError(
                f"the bundle's hash is {bundle[:12]}; the registry says {promised[:12]}"
            )
        try:
            self._keep(folder, bundle)
        except OSError as error:
            raise BundleError(f"bundle {folder} cannot be kept in the cache: {error}") from error
        pointer = Pointer(
            bundle=bundle, name=name, version=version, source=source, tags=dict(tags), since=now()
        )
        before = self.pointer()
        if before is not None and before == msgspec.structs.replace(
            pointer, tags=before.tags, since=before.since
        ):
            pointer = msgspec.structs.replace(pointer, since=before.since)  # only its tags changed
        _write(self.pointer_file, pointer)
        self._remember(pointer)
        self._prune()
        return pointer

    def adopt_folder(self, folder: Path) -> Pointer:
        """`adopt` a bundle that no registry knows: its folder names it, its hash is its version."""
        folder = folder.resolve()
        version = bundle_hash(folder)[:12]
        return self.adopt(folder, name=folder.name, version=version, source=str(folder), tags={})

    def _remember(self, pointer: Pointer) -> None:
        """Write down that it serves from now on; one whose tags alone changed is the same."""
        before = self.served()
        if before and before[0].since == pointer.since and before[0].bundle == pointer.bundle:
            before = before[1:]
        with suppress(OSError):  # a full disk; people may look it up in the registry
            _write(self.served_file, Pointers([pointer, *before][:KEPT_POINTERS]))

    def _keep(self, folder: Path, bundle: str) -> None:
        """Copy the bundle to its place unless it is there, and check the copy on the way."""
        place = self.bundle_folder(bundle)
        if not self.holds(bundle):
            self.create()
            with tempfile.TemporaryDirectory(dir=self.bundles, prefix=INCOMING) as incoming:
                copy = Path(incoming) / bundle
                copy.mkdir()
                for name in bundle_files(folder):
                    shutil.copyfile(folder / name, copy / name)
                verified(copy, bundle)
                self._place(copy, bundle)
        os.utime(place)

    def _place(self, copy: Path, bundle: str) -> None:
        """Put the copy in the bundle's place, unless another process did so meanwhile: somebody may
        read it already."""
        place = self.bundle_folder(bundle)
        if not _moved(copy, place) and not self.holds(bundle):
            _moved(place, copy.with_name("damaged"))
            _moved(copy, place)

    def holds(self, bundle: str) -> bool:
        """Whether the bundle with this hash is cached, unaltered."""
        try:
            verified(self.bundle_folder(bundle), bundle)
        except KizashiError:
            return False
        return True

    def _prune(self) -> None:
        """Drop the bundles that were served longest ago, never one that a pointer names."""
        pointers = [_read(file, Pointer) for file in self.bundles.parent.glob("*/pointer.json")]
        named = {pointer.bundle for pointer in pointers if pointer is not None}
        cached = [folder for folder in self.bundles.iterdir() if not folder.name.startswith(".")]
        cached.sort(key=_modified_ns, reverse=True)
        for folder in cached[KEPT_BUNDLES:]:
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self.bundles.glob(f"{INCOMING}*"):  # left by a process that was killed
            if time.time() - _modified_ns(folder) / 1e9 > ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def verified(folder: Path, bundle: str) -> Bundle:
    """The bundle in `folder`, if it has the hash `bundle` and scores its own example as stored.

    Raises BundleError, or NotCalibrated, when it does not.
    """
    loaded = load_bundle(folder)
    try:
        loaded.check_example()
    except KizashiError:
        raise
    except Exception as error:  # a network of another shape: ONNX Runtime raises what it likes
        raise BundleError(f"bundle {folder} cannot score its own example: {error}") from error
    if loaded.hash != bundle:
        raise BundleError(f"{folder} holds bundle {loaded.hash[:12]} instead of {bundle[:12]}")
    return loaded


def stamp(file: Path) -> Stamp | None:
    """The stamp of a file, None when there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return Stamp(found.st_ino, found.st_mtime_ns, found.st_size)


def _moved(folder: Path, place: Path) -> bool:
    """Move a folder; False where another one is in its place, or it is gone."""
    try:
        folder.rename(place)
    except OSError:
        return False
    return True


def _modified_ns(folder: Path) -> int:
    """When it last changed; 0 once it is gone, as another process may prune at the same time."""
    found = stamp(folder)
    return 0 if found is None else found.modified_ns


def now() -> str:
    """This moment as RFC 3339, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=NEW, delete=False) as new:
        try:
            new.write(msgspec.json.format(msgspec.json.encode(content), indent=1))
            new.flush()
            os.fsync(new.fileno())
            Path(new.name).replace(file)
        except BaseException:
            with suppress(OSError):
                Path(new.name).unlink()
            raise
