"""What every measure is given: the service over a database, the rows, and how much to measure."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.postgres import Postgres, running_postgres
from bench.serving.bench import Bench as Served
from bench.serving.peers import OURS, PEERS
from bench.serving.peers.peer import request
from bench.serving.server import NotServing, Server

SQLITE, POSTGRESQL = STORES = ("sqlite", "postgresql")
FAR = 25.0
"""A value that no simulated sensor has: a row of it is an anomaly."""
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 120.0
SAMPLE = re.compile(r'^kizashi_history_rows_total\{outcome="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    connections: int
    sources: int
    sustained_seconds: float
    rounds: int
    seconds: float
    fault_seconds: float
    alarms: int
    year_days: int
    row_days: int
    queries: int
    loads: int

    @classmethod
    def quick(cls) -> "Settings":
        """As little as says whether all of it works."""
        return cls(4, 3, 1.0, 1, 0.3, 1.0, 3, 30, 1, 2, 1)


@dataclass(frozen=True)
class Store:
    """A database that a service may keep its history in."""

    address: str
    server: Postgres | None = None


@dataclass(frozen=True)
class Bench:
    """The settings of a run and what it works on."""

    served: Served
    settings: Settings

    @property
    def folder(self) -> Path:
        return self.served.work / "history"

    @property
    def normal(self) -> list[float]:
        """A row in the middle of those that the model was calibrated on."""
        detector = self.served.bundle.detector
        score_N = detector.score(detector.windows(self.served.rows_NF))
        quietest: list[float] = self.served.rows_NF[int(np.argmin(score_N))].tolist()
        return quietest

    @property
    def anomalous(self) -> list[float]:
        """A row that no threshold lets pass."""
        return [FAR] * self.served.rows_NF.shape[1]

    @contextmanager
    def store(self, kind: str) -> Iterator[Store]:
        """A new database; raises NotInstalled where there is no PostgreSQL."""
        if kind == POSTGRESQL:
            with running_postgres() as server:
                yield Store(server.new_database(), server)
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        yield Store(f"sqlite:///{self.folder / 'history.db'}")
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def serving(self, address: str, **settings: str) -> Iterator[Server]:
        """The service with its history there, and these settings besides."""
        given = {"KIZASHI_DATABASE_URL": address, **settings}
        with self.served.serving(PEERS[OURS], settings=given) as server:
            yield server

    def requests(self, server: Server, *, anomalies: bool = False) -> list[str]:
        """Rows of all sources in turn; with `anomalies` every hundredth is one, of each source as
        often as of any other."""
        sources = self.settings.sources
        return [
            request(
                server.peer,
                server.place,
                json.dumps(
                    {"values": row, "source": f"press-{(number + number // 100) % sources:02}"}
                ),
            )
            for number, row in enumerate(self.served.rows(anomalies=anomalies))
        ]


def rows_of(server: Server) -> dict[str, int]:
    """How many rows the service says it has `written` and `dropped` by now."""
    told = server.ask("GET", "/metrics", headers=server.peer.headers(server.place)).decode()
    found = {outcome: int(float(value)) for outcome, value in SAMPLE.findall(told)}
    return {"written": 0, "dropped": 0} | found


def settled(server: Server, rows: int) -> dict[str, int]:
    """Wait until so many rows are written or dropped; raises NotServing when they never are."""
    until = time.monotonic() + PATIENCE_SECONDS
    while sum((found := rows_of(server)).values()) < rows:
        if time.monotonic() > until:
            raise NotServing(f"of {rows} rows the history has only heard of {found}")
        time.sleep(LOOK_SECONDS)
    return found
