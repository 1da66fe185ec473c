"""What a worker holds of the file of keys."""

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path

from kizashi.errors import ConfigurationError
from serving.following.cache import Stamp, stamp
from serving.keys.file import KeyFile
from serving.keys.key import SALT_BYTES, Record, digest, split_key

LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)

NOBODY = Record(
    id="nobody",
    name="nobody",
    scopes=["score"],
    salt=secrets.token_bytes(SALT_BYTES),
    digest=secrets.token_bytes(32),
    created=datetime.now(UTC),
)
"""Stands in for an unknown id: its secret nobody knows, and finding that out takes as long."""


class HeldKeys:
    """The keys of this worker, as the file had them at most about a second ago.

    It fails closed. A file that cannot be read any more, or is gone, leaves the last keys in force,
    and `problem` says so. One that could not be read from the start leaves none, so that nobody
    gets in. And once `required` the keys stay so until the service is started again.
    """

    def __init__(self, path: Path, *, wanted: bool = False) -> None:
        """`wanted` says that keys are asked for although the file may not be there yet."""
        self.problem: str | None = None
        """Why what is held may be old."""
        self.required = wanted
        """Whether keys are asked for at all: not where none was ever made."""
        self._file = KeyFile(path)
        self._keys: dict[bytes, Record] = {}
        self._seen: Stamp | None = None
        self._looked = False
        self.refresh()

    def find(self, sent: bytes) -> Record | None:
        """The key that was sent, None when it is none of these; it may have ended.

        In constant time: neither how much of a secret is right nor whether the id is known can be
        measured.
        """
        name, secret = split_key(sent)
        record = self._keys.get(name, NOBODY)
        same = compare_digest(digest(record.salt, secret), record.digest)
        return record if same and record is not NOBODY else None

    def holds(self, record: Record | None) -> bool:
        """Whether who was let in with this key, or without one, still would be: for what goes on
        long after that."""
        if record is None:
            return not self.required
        found = self._keys.get(record.id.encode())
        return (
            found is not None
            and found.digest == record.digest
            and found.rank >= record.rank
            and found.ended(datetime.now(UTC)) is None
        )

    def refresh(self) -> None:
        """Read the file if it has changed since, or could not be read."""
        found = stamp(self._file.path)
        if self._looked and found == self._seen and self.problem is None:
            return
        self._looked, self._seen = True, found
        try:
            records = self._file.read()
        except ConfigurationError as error:
            self.required = True
            self._say(str(error))
            return
        if records is None:
            if self.required:
                self._say(f"there is no file of keys at {self._file.path}")
            return
        self._keys = {record.id.encode(): record for record in records}
        self.required = self.required or bool(records)
        self._say(None)

    async def watch(self) -> None:
        """`refresh` again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _say(self, problem: str | None) -> None:
        if problem is not None:
            kept = "the last keys stay in force" if self._keys else "nobody is let in"
            problem = f"{problem}; {kept}"
        if problem == self.problem and problem is not None:
            return
        self.problem = problem
        if problem is not None:
            log.error("%s", problem)
        elif self._keys:
            now = datetime.now(UTC)
            good = sum(record.ended(now) is None for record in self._keys.values())
            log.info("keys that open the service: %d", good)
