"""Ports that nobody else is given while a server has them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved(port: int = 0) -> Iterator[int]:
    """A free port of this machine, or `port`, until the end.

    It is bound here without listening: a service that asks for it by its number, with SO_REUSEADDR
    as servers do, is given it all the same, and nobody who asks for any port is. A port that was
    found free and let go of would be anybody's until its service listens, which takes seconds.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        yield int(held.getsockname()[1])
