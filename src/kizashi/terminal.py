"""What every command owes the terminal: no traceback where nobody reads on."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_OUTPUT = 1


@contextmanager
def quiet_when_unread() -> Iterator[None]:
    """End a command with status 1, and without a word, once the reader of its standard output is
    gone, as `head` is after its ten lines. What else breaks off goes on upwards."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # at the interpreter's own end nobody could catch it
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)
        raise SystemExit(1) from None


def _reader_is_gone() -> bool:
    """Whether standard output is the pipe that broke: a connection is one too."""
    output = select.poll()
    output.register(STANDARD_OUTPUT, 0)  # that it broke is always told
    return bool(output.poll(0))
