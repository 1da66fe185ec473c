"""One follower for each host and followed model: who holds the lock is it."""

import fcntl
import os
from pathlib import Path


def take_lock(file: Path) -> int | None:
    """A descriptor that holds the lock on `file`, None when another process holds it.

    The lock belongs to the open file, so a child that inherits the descriptor holds it too, and it
    falls when the last of them ends, however it ends. The file's time says since when it is held.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.utime(descriptor)
    return descriptor
