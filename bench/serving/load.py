"""Load on one server, from a process of its own: keep-alive HTTP/1.1, one request under way on each
connection, the next one as soon as the answer is there.

Reads what to do as JSON from standard input and writes what came of it as JSON to standard output.
It needs nothing but Python and stays small on purpose: on two cores, what the client costs is not
to be waited for by the server.
"""

import json
import re
import select
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
PATIENCE = 10.0
"""Seconds without any answer after which the server counts as stuck."""
SHOWN = 5
"""Failures that are quoted."""
ID = b"{request-id}"
"""Stands in the head of a request for an id that no other request has."""
RUN = time.time_ns() // 1000 % 2**32
"""Part of each id: a server that is asked again and again gets none twice."""


class Connection:
    """One connection and the request that is under way on it."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], first: int) -> None:
        self.address = address
        self.requests = [request.partition(ID) for request in requests]
        self.first = self.next = first
        self.buffer = b""
        self.sent_ns = 0
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self.address, timeout=PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def again(self) -> None:
        """Connect anew, after the server closed."""
        self.socket.close()
        self.socket = self._connect()
        self.buffer = b""

    def send(self) -> None:
        before, found, after = self.requests[self.next % len(self.requests)]
        self.next += 1
        if found:
            before += b"%08x%08x%08x" % (RUN, self.first, self.next)
        self.sent_ns = time.perf_counter_ns()
        self.socket.sendall(before + after)

    def answer(self) -> bytes | None:
        """A whole answer, None while it is not there; raises ConnectionError at its end."""
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        found = LENGTH.search(self.buffer, 0, end + 2)
        if found is not None:
            whole = len(self.buffer) >= end + 4 + int(found[1])
        elif CHUNKED.search(self.buffer, 0, end + 2):
            whole = self.buffer.endswith(b"\r\n0\r\n\r\n")
        else:
            whole = True
        if not whole:
            return None
        answer, self.buffer = self.buffer, b""
        return answer


def drive(spec: dict[str, Any]) -> dict[str, Any]:
    """Load as `spec` says, for `seconds`; latencies are in microseconds."""
    address = (str(spec["host"]), int(spec["port"]))
    requests = [text.encode() for text in spec["requests"]]
    watched = spec.get("watch")
    watch = re.compile(rf"\r\n{watched}: *([^\r]*)".encode(), re.IGNORECASE) if watched else None
    latency = array("d")
    failures: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    started = time.perf_counter()
    end, quiet_since = started + float(spec["seconds"]), started
    count = int(spec["connections"])
    lines = [Connection(address, requests, 37 * index) for index in range(count)]
    poll = select.epoll()
    by_descriptor = {}
    for line in lines:
        by_descriptor[line.socket.fileno()] = line
        poll.register(line.socket, select.EPOLLIN)
        line.send()
    while by_descriptor:
        for descriptor, _ in poll.poll(1.0):
            line = by_descriptor[descriptor]
            try:
                answer = line.answer()
                if answer is None:
                    continue
                now = time.perf_counter()
                latency.append((time.perf_counter_ns() - line.sent_ns) / 1e3)
                quiet_since = now
                if answer[9:12] != b"200":
                    failures[answer[:200].decode("latin-1")] += 1
                elif watch is not None:
                    found = watch.search(answer)
                    seen[found[1].decode("latin-1") if found else ""] += 1
                if now < end:
                    line.send()
                    continue
            except OSError as error:
                failures[str(error)] += 1
                now = time.perf_counter()
            poll.unregister(descriptor)
            del by_descriptor[descriptor]
            if now < end:
                line.again()
                by_descriptor[line.socket.fileno()] = line
                poll.register(line.socket, select.EPOLLIN)
                line.send()
        if time.perf_counter() - quiet_since > PATIENCE:
            failures[f"no answer within {PATIENCE:g} s"] += len(by_descriptor)
            break
    seconds = time.perf_counter() - started
    for line in lines:
        line.socket.close()
    return {
        "requests": len(latency),
        "seconds": seconds,
        "failures": sum(failures.values()),
        "shown": [text for text, _ in failures.most_common(SHOWN)],
        "seen": dict(seen),
        **quantiles(latency),
    }


def quantiles(latency: Sequence[float]) -> dict[str, float]:
    """The latency that so many of a hundred requests stay within, and the worst."""
    ordered = sorted(latency) or [float("nan")]
    places = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999, "worst_us": 1.0}
    last = len(ordered) - 1
    return {name: ordered[min(last, int(share * len(ordered)))] for name, share in places.items()}


if __name__ == "__main__":
    json.dump(drive(json.load(sys.stdin)), sys.stdout)
