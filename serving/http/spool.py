"""What does not fit into memory: the first of it is kept there, all of it goes to disk beyond."""

import contextlib
import errno
import mmap
import sys
import tempfile
from collections.abc import Iterator
from typing import Self

from serving.errors import NoSpace

MEMORY_BYTES = 1024 * 1024
PIECE_BYTES = 256 * 1024
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spool:
    """Bytes that are written once, from start to end, and then read.

    Files are made where `tempfile` makes them (`TMPDIR` decides) and have no name: they end with
    the process, however it ends. Raises NoSpace where the disk takes no more.
    """

    def __init__(self, memory: int = MEMORY_BYTES) -> None:
        self.size = 0
        self.closed = False
        self._map: mmap.mmap | None = None
        self._file = tempfile.SpooledTemporaryFile(max_size=memory)  # noqa: SIM115 - see close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, content: bytes | memoryview) -> int:
        """How many bytes were written: all of them."""
        try:
            self._file.write(content)
        except OSError as error:
            raise _no_space(error) from error
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """See to it that everything is on the disk, if it is to be there."""
        try:
            self._file.flush()
        except OSError as error:
            raise _no_space(error) from error

    def pieces(self) -> Iterator[bytes]:
        """All that was written."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def map(self) -> mmap.mmap | bytes:
        """All that was written, as one object; what is on disk is read from there when needed."""
        self.flush()
        if self.size <= PIECE_BYTES:
            return b"".join(self.pieces())
        self._map = mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_READ)
        return self._map

    def forget(self) -> None:
        """Take what has been read through `map` out of memory; it is read again when needed."""
        if self._map is not None and sys.platform != "win32":
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        self.closed = True
        self._map = None
        with contextlib.suppress(OSError):  # what could not be written still cannot
            self._file.close()


def _no_space(error: OSError) -> NoSpace:
    said = "is full" if error.errno in FULL else f"cannot be written ({error.strerror})"
    return NoSpace(
        f"the service's disk for what does not fit into memory {said}; smaller batches need none"
    )
