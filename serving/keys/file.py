"""The file of keys: one JSON document, written whole beside its place and moved there.

Only its owner can read it (mode 0600), although nothing in it opens the service. Whoever changes it
holds the lock beside it, so two commands at the same time lose nothing.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kizashi.errors import ConfigurationError
from serving.keys.key import Record

NEW = ".keys-"
CREATE = "python -m serving.keys create --name NAME --scope score"
"""The way out that messages name."""


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document."""

    keys: list[Record]


class KeyFile:
    """The keys in the file at `path`; there may be none yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Record] | None:
        """Every key, those that have ended too; None when there is no file.

        Raises ConfigurationError when it cannot be read, or is not what this program writes.
        """
        try:
            content = msgspec.json.decode(self.path.read_bytes(), type=Content)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unusable(f"cannot be read ({error.strerror})") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unusable(f"is not a file of keys ({error})") from error
        ids = [record.id for record in content.keys]
        if len(set(ids)) < len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            raise self._unusable(f"has two keys with the id '{twice}'")
        return content.keys

    def add(self, record: Record) -> None:
        """Keep one more key; raises ConfigurationError when it cannot be written."""
        with self._changing() as keys:
            if any(other.id == record.id for other in keys):
                raise self._unusable(f"already has a key with the id '{record.id}'; try again")
            keys.append(record)

    def revoke(self, key: str) -> Record:
        """End the key with this id; revoked twice, the first time stays.

        Raises ConfigurationError when there is no such key, or the file cannot be written.
        """
        with self._changing() as keys:
            for index, record in enumerate(keys):
                if record.id == key:
                    if record.revoked is None:
                        now = datetime.now(UTC).replace(microsecond=0)
                        keys[index] = msgspec.structs.replace(record, revoked=now)
                    return keys[index]
            known = ", ".join(record.id for record in keys) or "it has none"
            raise ConfigurationError(f"no key in {self.path} has the id {key!r}; known: {known}")

    @contextmanager
    def _changing(self) -> Iterator[list[Record]]:
        """The keys, kept as they are at the end of the block; others wait meanwhile."""
        place = self.path.resolve()  # what a link points to is replaced, not the link
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = place.with_name(f"{place.name}.lock")
            lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(f"cannot be written to ({error.strerror})") from error
        try:
            _hand_over(lock, place.parent)
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = self.read() or []
            yield keys
            _write(place, msgspec.json.encode(Content(keys)))
        except OSError as error:
            raise self._unusable(f"cannot be written to ({error.strerror})") from error
        finally:
            os.close(lock)

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"KIZASHI_KEYS_FILE is '{self.path}', which {why}; a file that "
            "'python -m serving.keys create' has written is needed"
        )


def _write(place: Path, content: bytes) -> None:
    """Replace the file: a reader sees the old one or the new one, whole."""
    owner = place if place.exists() else place.parent
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=NEW, delete=False) as new:
        try:
            new.write(msgspec.json.format(content, indent=1) + b"\n")
            new.flush()
            os.fsync(new.fileno())
            _hand_over(new.fileno(), owner)
            Path(new.name).replace(place)
        except BaseException:
            with suppress(OSError):
                Path(new.name).unlink()
            raise


def _hand_over(descriptor: int, owner: Path) -> None:
    """Root makes keys for services that are not root: a file belongs to whom `owner` belongs."""
    if os.geteuid() == 0:
        found = owner.stat()
        os.fchown(descriptor, found.st_uid, found.st_gid)
