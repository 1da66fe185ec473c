"""Machines that ask about an anomaly and a normal row in turn, and remember what was answered."""

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Self

from kizashi.errors import KizashiError

ANSWER_SECONDS = 30.0
PAUSE_SECONDS = 0.05
"""Until a machine tries again that nobody answers."""


class Asking:
    """A thread for each source, from `with` to its end; each goes on whatever becomes of the
    service.

    `anomalies` and `normal` are the request ids of rows that were answered as such, `refused`
    counts other statuses.
    """

    def __init__(
        self,
        port: int,
        anomalous: Sequence[float],
        normal: Sequence[float],
        sources: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.anomalies: list[str] = []
        self.normal: list[str] = []
        self.refused: Counter[int] = Counter()
        self._port = port
        self._rows = (list(normal), list(anomalous))
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._numbers = count()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"press-{number:02}",), daemon=True)
            for number in range(sources)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            raise KizashiError("a request is neither answered nor ended")

    def _run(self, source: str) -> None:
        line = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        while not self._stop.is_set():
            try:
                for row in self._rows:
                    self._ask(line, source, row)
            except (OSError, HTTPException, ValueError):  # it is dead, or not yet there
                line.close()
                self._stop.wait(PAUSE_SECONDS)
        line.close()

    def _ask(self, line: HTTPConnection, source: str, row: list[float]) -> None:
        identity = f"asked-{next(self._numbers)}"
        body = json.dumps({"values": row, "source": source})
        line.request("POST", "/anomaly", body, {**self._headers, "X-Request-ID": identity})
        answer = line.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            self.refused[answer.status] += 1
            return
        (self.anomalies if told["status"] == "anomaly" else self.normal).append(identity)
