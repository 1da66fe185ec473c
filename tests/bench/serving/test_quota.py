import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.serving.processes import cpu_seconds
from bench.serving.quota import limit, limited, root_of

BUSY = "while True: pass"
ROOT = root_of()


@pytest.mark.skipif(ROOT is None, reason="this user may set no quota here")
def test_a_process_gets_no_more_than_its_part_and_the_group_goes_with_it() -> None:
    assert ROOT is not None
    with subprocess.Popen([sys.executable, "-c", "input(); exec(input())"], stdin=-1) as process:
        assert process.stdin is not None
        with limited(ROOT, [process.pid], 0.2):
            group = _groups()
            started = time.monotonic()
            process.stdin.write(f"\nexec({BUSY!r})\n".encode())
            process.stdin.flush()
            before = cpu_seconds([process.pid])[process.pid]
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.8)
            used = cpu_seconds([process.pid])[process.pid] - before
            seconds = time.monotonic() - started
        process.kill()
    assert used < 0.4 * seconds
    assert len(group) == 1 and _groups() == []


def _groups() -> list[Path]:
    """Those of this process: other tests, in others, have theirs."""
    assert ROOT is not None
    return [one for one in ROOT.iterdir() if one.name.endswith(f"-{os.getpid()}")]


def test_there_is_no_quota_where_no_group_can_be_made(tmp_path: Path) -> None:
    assert root_of(tmp_path) is None
    (tmp_path / "cgroup.subtree_control").write_text("memory pids")
    assert root_of(tmp_path) is None
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory")
    assert root_of(tmp_path) == tmp_path


def test_the_newer_groups_take_quota_and_period_as_one(tmp_path: Path) -> None:
    """As files, which is all that can be tried where the older ones are in use."""
    (tmp_path / "cpu.max").write_text("max 100000")
    limit(tmp_path, 7_000)
    assert (tmp_path / "cpu.max").read_text() == "7000 20000"
