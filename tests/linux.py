"""What Linux shows of a process, which may end, or close a file, while one looks."""

from contextlib import suppress
from pathlib import Path


def open_files(pid: int | str = "self") -> list[str]:
    """What each file that a process holds open is: a path, or a kind and a number."""
    found: list[str] = []
    with suppress(OSError):  # the process has ended
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it has been closed since
                found.append(str(one.readlink()))
    return found


def command_line(pid: int) -> bytes:
    """How a process was called; nothing of one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def children(pid: int) -> list[int]:
    """The processes that the first thread of a process has started and that have not ended."""
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
