"""What a server and the processes below it cost, as Linux counts it below /proc."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kizashi.errors import ConfigurationError

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
MIB = 1024 * 1024


def require_linux() -> None:
    """Raise ConfigurationError where the system does not say what a process costs."""
    if not (PROC / "self" / "smaps_rollup").exists():
        raise ConfigurationError("this bench reads /proc/PID/smaps_rollup, which only Linux has")


@dataclass(frozen=True)
class Cores:
    """The cores that servers and clients may use; the same ones where there is only one."""

    server: frozenset[int]
    client: frozenset[int]

    @classmethod
    def split(cls, of_server: int = 1) -> "Cores":
        """The first `of_server` cores for the server and the last for the client, which shares it
        where there are no more."""
        usable = sorted(os.sched_getaffinity(0))
        apart = frozenset(usable[:of_server])
        return cls(apart, frozenset(usable[len(apart) :][-1:]) or frozenset(usable[-1:]))

    @classmethod
    def shared(cls) -> "Cores":
        """Every core for both."""
        usable = frozenset(os.sched_getaffinity(0))
        return cls(usable, usable)


@contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """What is started inside runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(root: int) -> list[int]:
    """The process `root` and all below it."""
    children = defaultdict(list)
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                children[int(_stat(int(folder.name))[1])].append(int(folder.name))
    found = [root]
    for one in found:
        found += children[one]
    return found


def cpu_seconds(processes: Iterable[int]) -> dict[int, float]:
    """User and system time of each process by now."""
    used = {}
    for one in processes:
        with suppress(OSError):
            stat = _stat(one)
            used[one] = (int(stat[11]) + int(stat[12])) / TICK
    return used


@dataclass(frozen=True)
class Memory:
    """In MiB: of all processes together, and of the largest alone."""

    resident: float
    proportional: float
    largest: float


def memory(processes: Iterable[int]) -> Memory:
    """What the processes hold; pages shared between them count once in `proportional`."""
    resident, proportional = [0.0], 0.0
    for one in processes:
        with suppress(OSError):
            lines = (PROC / str(one) / "smaps_rollup").read_text().splitlines()[1:]
            parts = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
            resident.append(parts["Rss"])
            proportional += parts["Pss"]
    return Memory(sum(resident), proportional, max(resident))


def peak(process: int) -> float:
    """The most that a process ever held, in MiB; `forget_peak` begins anew."""
    status = (PROC / str(process) / "status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def forget_peak(process: int) -> None:
    (PROC / str(process) / "clear_refs").write_text("5")


def _stat(process: int) -> list[str]:
    """From the state on: a name may hold blanks and brackets."""
    return (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
