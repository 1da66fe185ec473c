"""A stop ends what `deploy/local.py` has started, however early it comes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deploy import local


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """What is started, each ended at last; a stop comes before it is known to have been."""
    before = {stop: signal.getsignal(stop) for stop in local.STOPS}
    found: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def stopped(*arguments: Any, **options: Any) -> Any:
        found.append(popen(*arguments, **options))
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", stopped)
    monkeypatch.setattr(local, "REPRO", (sys.executable, "-c", "import time; time.sleep(600)"))
    yield found
    for stop, handler in before.items():
        signal.signal(stop, handler)
    for process in found:
        process.kill()
        process.wait()


def test_what_is_being_started_as_a_stop_comes_is_ended_too(
    started: list["subprocess.Popen[bytes]"],
) -> None:
    assert local.main() == 128 + signal.SIGTERM
    assert [process.returncode for process in started] == [-signal.SIGTERM]
