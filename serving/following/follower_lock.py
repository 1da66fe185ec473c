"""One follower for each host and followed model: who holds the lock is it."""

import fcntl
import os
import uuid
from pathlib import Path


def take_lock(file: Path) -> int | None:
    """A descriptor that holds the lock on `file`, None when another process holds it.

    The lock belongs to the open file, so a child that inherits the descriptor holds it too, and it
    falls when the last of them ends, however it ends. The file names its holder as
    no holder was named before: neither clocks nor process numbers tell one from another for sure.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, uuid.uuid4().hex.encode(), 0)
    return descriptor


def holder(file: Path) -> str:
    """The name of who holds the lock on `file`, or held it last; raises OSError."""
    return file.read_text()
