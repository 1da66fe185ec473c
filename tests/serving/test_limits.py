"""How many requests a key may send, counted over real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import TooManyRequests
from serving.limits import INTERVAL_SECONDS, WINDOW_SECONDS, Limits

MOMENT = 1_000_000.0
WORKER = f"""
import sys, time
from pathlib import Path
time.monotonic = lambda: {MOMENT}  # or what was let through would leave the window meanwhile
from serving.errors import TooManyRequests
from serving.limits import Limits

limits = Limits(Path(sys.argv[1]), 2)
sys.stdout.write("ready\\n")
sys.stdout.flush()
for line in sys.stdin:
    passed = 0
    for _ in range(int(line)):
        try:
            limits.take("press", int(sys.argv[2]))
            passed += 1
        except TooManyRequests:
            pass
    sys.stdout.write(f"{{passed}}\\n")
    sys.stdout.flush()
"""

Clock = Callable[[float], None]


class Worker:
    def __init__(self, folder: Path, limit: int) -> None:
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(limit)],
            env=os.environ | path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def ask(self, count: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()

    def passed(self) -> int:
        return int(self._line())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the host's clock to so many seconds."""

    def at(seconds: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: MOMENT + seconds)

    return at


def _passed(limits: Limits, count: int, limit: int) -> int:
    passed = 0
    for _ in range(count):
        try:
            limits.take("press", limit)
            passed += 1
        except TooManyRequests:
            pass
    return passed


def test_two_processes_together_let_through_what_one_limit_allows(tmp_path: Path) -> None:
    workers = [Worker(tmp_path, 1000), Worker(tmp_path, 1000)]
    for worker in workers:
        worker.ask(5000)
    passed = [worker.passed() for worker in workers]
    for worker in workers:
        worker.end()
    # Both may decide on the last one at the same moment, and no more than that.
    assert 1000 <= sum(passed) <= 1001


def test_what_a_killed_worker_let_through_still_counts_and_its_slot_is_taken_over(
    tmp_path: Path, clock: Clock
) -> None:
    clock(0)
    for _ in range(8):  # more than there are slots
        worker = Worker(tmp_path, 100)
        worker.ask(5)
        assert worker.passed() == 5
        worker.end()
    limits = Limits(tmp_path, 2)
    assert _passed(limits, 100, 100) == 60
    limits.close()


def test_no_sixty_seconds_see_more_than_the_limit(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(tmp_path, 1)
    passed: list[float] = []
    for tenth in range(2000):
        clock(tenth / 10)
        passed += [tenth / 10] * _passed(limits, 3, 50)
    limits.close()
    for end in passed:
        assert sum(end - WINDOW_SECONDS < moment <= end for moment in passed) <= 50
    assert len(passed) >= 3 * 50  # in 200 seconds, the window is full again and again


def test_retry_after_is_when_there_is_room_again(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(tmp_path, 1)
    clock(0.5)
    assert _passed(limits, 10, 30) == 10
    clock(20)
    assert _passed(limits, 20, 30) == 20
    with pytest.raises(TooManyRequests, match="more than 30 requests in a minute") as refused:
        limits.take("press", 30)
    wait = refused.value.seconds
    assert WINDOW_SECONDS - 20 <= wait <= WINDOW_SECONDS - 20 + INTERVAL_SECONDS
    clock(20 + wait - 1)
    assert _passed(limits, 1, 30) == 0
    clock(20 + wait)
    assert _passed(limits, 30, 30) == 10
    limits.close()


def test_keys_do_not_count_for_each_other(tmp_path: Path) -> None:
    limits = Limits(tmp_path, 1)
    assert _passed(limits, 3, 2) == 2
    limits.take("other", 2)
    limits.close()


def test_a_limit_that_is_raised_holds_at_once(tmp_path: Path) -> None:
    limits = Limits(tmp_path, 1)
    assert _passed(limits, 5, 2) == 2
    assert _passed(limits, 5, 4) == 2
    limits.close()


def test_counts_of_before_a_restart_of_the_host_do_not_hold(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(tmp_path, 1)
    clock(0)
    assert _passed(limits, 5, 5) == 5
    limits.close()
    clock(-900_000)
    after = Limits(tmp_path, 1)
    assert _passed(after, 10, 5) == 5
    after.close()


def test_where_no_file_can_be_kept_each_worker_counts_alone_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    limits = Limits(tmp_path / "file", 1)
    assert _passed(limits, 5, 3) == 3
    assert "rate limits hold for each worker alone" in caplog.text
    limits.close()
