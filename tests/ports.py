"""Ports of this machine that belong to one test."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port(port: int = 0) -> Iterator[int]:
    """This port, or one that is free, which the system gives to nobody else meanwhile. Nobody
    answers on it but who binds it by its number with SO_REUSEADDR, as servers do."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", port))
        yield place.getsockname()[1]
