"""What every server in the bench is to it."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench.serving.load import ID
from kizashi.runtime.bundle import Bundle

ROOT = Path(__file__).resolve().parents[3]
APPS = "bench.serving.apps"
IMPORTS = os.pathsep.join([str(ROOT), str(ROOT / "src")])
"""What a server that runs code of this checkout needs as its PYTHONPATH."""


@dataclass(frozen=True)
class Place:
    """What a server is given: its interpreter, its port, a folder of its own and the model."""

    python: Path
    port: int
    folder: Path
    bundle: Bundle
    logged: Path
    """The folder of the model as MLflow logs it."""
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    """More settings of the service, as environment variables."""


class Peer(ABC):
    """A server that answers one row with a verdict, or with as much as it can do."""

    name: ClassVar[str]
    environment: ClassVar[str | None] = None
    """The lock of its environment; None: what the service itself has."""
    what: ClassVar[tuple[str, str]]
    """What it is and does, for tables in English and Japanese."""
    packages: ClassVar[tuple[str, ...]]
    """Those whose versions are told."""
    path: ClassVar[str] = "/anomaly"
    ready: ClassVar[str] = "/ready"
    wants_logged: ClassVar[bool] = False
    """Whether it serves the model as MLflow logs it."""
    scores: ClassVar[bool] = True
    """Whether its answers have the detector's score."""

    @abstractmethod
    def command(self, place: Place) -> list[str]: ...

    def variables(self, place: Place) -> dict[str, str]:
        """Its environment variables."""
        return {}

    def prepare(self, place: Place) -> None:  # noqa: B027  # most need nothing
        """Write what it needs into its folder."""

    def headers(self, place: Place) -> dict[str, str]:
        """Of each request, beside what all have."""
        return {}

    def body(self, row: Sequence[float], names: Sequence[str]) -> str:
        """One row as its clients send it."""
        return json.dumps({"values": list(row)})

    def score(self, answer: bytes) -> float:
        """The score in an answer; raises what it likes for another answer."""
        return float(json.loads(answer)["score"])


def uvicorn(place: Place, application: str) -> list[str]:
    """An ASGI application of this bench under uvicorn as the service runs it."""
    return [
        *(str(place.python), "-m", "uvicorn", f"{APPS}.{application}:app", "--app-dir", str(ROOT)),
        *("--port", str(place.port), "--no-access-log", "--log-level", "warning"),
        "--no-server-header",
    ]


def request(peer: Peer, place: Place, body: str) -> str:
    """The whole request, as it goes over the wire but for its id, which the client sets."""
    headers = {
        "Host": f"127.0.0.1:{place.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body.encode())),
        "X-Request-ID": ID.decode(),
        **peer.headers(place),
    }
    lines = [f"POST {peer.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", body])
