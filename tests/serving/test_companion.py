"""The processes beside the workers, as a worker starts and ends them."""

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from serving.companion import Companion
from serving.following.cache import Cache
from serving.settings import Settings


def test_one_that_is_being_started_while_the_service_ends_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(cache=tmp_path / "cache")
    cache = Cache(settings.cache, settings.key)
    beside = Companion(settings, cache, "serving.following.follower", cache.lock_file)
    begun, go_on = threading.Event(), threading.Event()
    popen = subprocess.Popen

    def slow(*arguments: Any, **options: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return popen(*arguments, **options)

    monkeypatch.setattr("serving.companion.subprocess.Popen", slow)
    starts = threading.Thread(target=beside.ensure)
    starts.start()
    assert begun.wait(30)
    ends = threading.Thread(target=beside.stop)
    ends.start()
    ends.join(0.2)
    go_on.set()
    starts.join(30)
    ends.join(30)
    started = beside.pid
    beside.stop()
    assert started is None
