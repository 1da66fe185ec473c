"""What every measure is given: the model, the rows, the servers that can be built."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.serving.environments import Environments
from bench.serving.peers.peer import Peer, Place, request
from bench.serving.processes import Cores
from bench.serving.server import Server, free_port
from kizashi.runtime.bundle import Bundle

FloatArray = npt.NDArray[np.float64]
MOST_LONG_ROUNDS = 3
SENT = 512
EVERY, FAR = 100, 10.0
"""Every so many requests one row lies so far from the normal ones, in the sensors' unit, which span
about two: an anomaly, which the service commits before it answers."""
CLOSE = 1e-3
"""How far a server's score may be from the detector's own: some compute in single precision."""


@dataclass(frozen=True)
class Bench:
    """The settings of a run and what it works on."""

    environments: Environments
    work: Path
    bundle: Bundle
    other: Callable[[], Bundle]
    """The same detector from another seed."""
    logged: Callable[[], Path]
    """The model's folder as MLflow logs it."""
    rows_NF: FloatArray
    peers: Mapping[str, Peer]
    settings: "Settings"

    @property
    def names(self) -> list[str]:
        return list(self.bundle.detector.contract.names)

    @property
    def few_rounds(self) -> range:
        """For what takes long."""
        return range(1, min(self.settings.rounds, MOST_LONG_ROUNDS) + 1)

    def place(self, peer: Peer) -> Place:
        """What a server of this peer is given; raises NotBuilt."""
        made = Place(
            python=self.environments.python_of(peer.environment),
            port=free_port(),
            folder=self.work / "servers" / peer.name,
            bundle=self.bundle,
            logged=self.logged() if peer.wants_logged else self.work,
        )
        made.folder.mkdir(parents=True, exist_ok=True)
        return made

    @contextmanager
    def serving(self, peer: Peer, cores: Cores | None = None, **changed: Any) -> Iterator[Server]:
        """A server that is ready, on a port of its own; `changed` is of its place."""
        place = replace(self.place(peer), **changed)
        peer.prepare(place)
        with Server(peer, place, cores or Cores.split()) as server:
            yield server

    def rows(self, *, anomalies: bool = False) -> list[list[float]]:
        """The rows to send in turn; with `anomalies` every hundredth is one."""
        rows_NF = self.rows_NF[:SENT].copy()
        if anomalies:
            rows_NF[EVERY - 1 :: EVERY] += FAR
        rows: list[list[float]] = rows_NF.tolist()
        return rows

    def requests(self, server: Server) -> list[str]:
        """The rows as requests."""
        return [
            request(server.peer, server.place, server.peer.body(row, self.names))
            for row in self.rows()
        ]

    def require_right(self, server: Server) -> None:
        """Raise AssertionError for a server that does not answer with the detector's score."""
        row_F = self.rows_NF[0]
        body = server.peer.body(row_F.tolist(), self.names).encode()
        headers = {"Content-Type": "application/json", **server.peer.headers(server.place)}
        answer = server.ask("POST", server.peer.path, body, headers)
        if server.peer.scores:
            detector = self.bundle.detector
            score = float(detector.score(detector.windows(row_F[None]))[0])
            found = server.peer.score(answer)
            assert abs(found - score) <= CLOSE * abs(score), f"it scores {found}, not {score}"


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    connections: int
    rounds: int
    seconds: float
    starts: int
    batch_rows: int
    stream_rows: int
    swap_seconds: float
    swap_every: float

    @classmethod
    def quick(cls) -> "Settings":
        """As little as says whether all of it works."""
        return cls(4, 1, 1.0, 1, 500, 2000, 1.5, 0.5)


def said(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)
