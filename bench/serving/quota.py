"""Part of the processor's time for some processes, by Linux's control groups: with less than a core
for each worker, two can have twice of what one has on a machine of two cores too."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 20_000
"""Who has used up their part waits for the rest of it."""


def root_of(mounted: Path = ROOT) -> Path | None:
    """The group below which groups with a quota can be made; None where this user, or this system,
    cannot."""
    older, newer = mounted / "cpu", mounted
    if (older / "cpu.cfs_quota_us").exists() and os.access(older, os.W_OK):
        return older
    with suppress(OSError):
        if "cpu" in (newer / "cgroup.subtree_control").read_text().split():
            return newer if os.access(newer, os.W_OK) else None
    return None


@contextmanager
def limited(root: Path, processes: Iterable[int], cores: float) -> Iterator[None]:
    """These processes, and those that they start, get no more than so many cores between them.

    Raises OSError where the group cannot be made.
    """
    group = root / f"bench-{os.getpid()}"
    group.mkdir()
    try:
        limit(group, round(cores * PERIOD_US))
        for process in processes:
            (group / "cgroup.procs").write_text(str(process))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):  # it has ended meanwhile
                (root / "cgroup.procs").write_text(left)
        group.rmdir()


def limit(group: Path, quota_us: int) -> None:
    """Give the group so much of each PERIOD_US, in the way of the older groups or of the newer."""
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        return
    (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
    (group / "cpu.cfs_quota_us").write_text(str(quota_us))
