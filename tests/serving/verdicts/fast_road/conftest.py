"""The service, listening on a port of this process, with the fast road or without."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI

from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from tests.serving.services import Listening, listening

Listen = Callable[..., Listening]


@pytest.fixture
def listen(make_app: Callable[..., FastAPI]) -> Iterator[Listen]:
    """The service over a bundle, listening, with other settings by keyword."""
    with ExitStack() as stack:

        def listens(folder: Path, **settings: object) -> Listening:
            app = make_app(folder, **({"database_url": "none"} | settings))
            return stack.enter_context(listening(app))

        yield listens


@pytest.fixture
def both(press_line: Bundle, listen: Listen) -> tuple[Listening, Listening]:
    """The service with the fast road and without."""
    return listen(press_line.folder), listen(press_line.folder, access_log=True)


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that reached the application."""
    reached: list[str] = []
    real = FastAPI.__call__

    async def application(self: FastAPI, scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await real(self, scope, receive, send)

    monkeypatch.setattr(FastAPI, "__call__", application)
    return reached


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows were judged each time."""
    found: list[int] = []
    together, alone = Detector.verdicts, Detector.verdict

    def counted(self: Detector, windows_BTF: npt.NDArray[np.float64]) -> Any:
        found.append(len(windows_BTF))
        return together(self, windows_BTF)

    def one(self: Detector, window_TF: npt.NDArray[np.float64]) -> Any:
        found.append(1)
        return alone(self, window_TF)

    monkeypatch.setattr(Detector, "verdicts", counted)
    monkeypatch.setattr(Detector, "verdict", one)
    return found
