"""What Linux shows of a process, which may end, or close a file, while one looks."""

import fcntl
import socket
import sys
import termios
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


def has_taken(port: int, connection: socket.socket) -> bool:
    """Whether the service on this port has accepted a connection, and read all that was sent."""
    on_its_way = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    if int.from_bytes(on_its_way, sys.byteorder):
        return False
    ends = (f":{port:04X}", f":{connection.getsockname()[1]:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        row = line.split()
        if (row[1][8:], row[2][8:]) == ends:
            unread, inode = int(row[4].partition(":")[2], 16), row[9]
            return unread == 0 and inode != "0"  # which it has only once it is accepted
    return False
