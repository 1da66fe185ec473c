"""What `make serve` runs: `dvc repro` and the service, on this machine, until Ctrl-C.

Without a model in the service's cache `dvc repro` comes first: there is nothing to serve before it.
With one the service answers at once and `dvc repro` runs beside it: the follower hands over what it
brings. With `--at-once` it starts beside the first `dvc repro` too, and its pages wait. Either way
nothing outlives this process: each of the two leads a session of its own, because dvc waits for its
stages instead of ending them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 20.0
"""Longer than the service takes at most to answer what is under way."""
REPRO = (sys.executable, "-m", "dvc", "repro")
SERVICE = (sys.executable, "-m", "serving")
AT_ONCE = "--at-once"
NOTHING = "dvc repro failed, and there is no model to serve yet."
CACHED = """
from serving.settings import read_settings
settings = read_settings()
raise SystemExit(not (settings.cache / settings.key / "pointer.json").exists())
"""


class Stopped(Exception):
    """Ctrl-C, or another signal that asks this process to end; its argument is the signal."""


def main() -> int:
    """The exit status: the service's own, or dvc's when it leaves nothing to serve.

    Ctrl-C is the ordinary end, 0; another signal is 128 + its number.
    """
    _from_now_on(_raise_stopped)
    started: list[subprocess.Popen[bytes]] = []
    try:
        try:
            return _run(started)
        finally:
            try:
                _from_now_on(signal.SIG_IGN)
            finally:
                _end(started)
    except Stopped as stopped:
        number = int(stopped.args[0])
        return 0 if number == signal.SIGINT else 128 + number


def _run(started: list[subprocess.Popen[bytes]]) -> int:
    repro = _start(REPRO, started)
    cached = _cached_model()
    if not cached and AT_ONCE not in sys.argv[1:] and repro.wait() != 0:
        print(NOTHING, file=sys.stderr)
        return repro.returncode
    service = _start(SERVICE, started)
    said = False
    while service.poll() is None:
        if repro.poll() and not said:
            if not cached:
                print(NOTHING, file=sys.stderr)
                return repro.returncode
            print("dvc repro failed; the service goes on with the model it has.", file=sys.stderr)
            said = True
        time.sleep(0.2)
    return service.returncode


def _cached_model() -> bool:
    """Whether the service has a verified bundle in its cache, and so answers without the registry.

    Asked in a process of its own, where `serving` is found as it is for the service; what is wrong
    with a setting the service says itself.
    """
    asked = subprocess.run(
        (sys.executable, "-c", CACHED),
        check=False,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process to pass on
    )
    return asked.returncode == 0


def _start(
    command: Sequence[str], started: list[subprocess.Popen[bytes]]
) -> subprocess.Popen[bytes]:
    stops: list[int] = []
    _from_now_on(lambda number, _: stops.append(number))  # until it is known what has to be ended
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    started.append(process)
    _from_now_on(_raise_stopped)
    if stops:
        raise Stopped(stops[0])
    return process


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """End each process and all it started: politely, and after twenty seconds by force."""
    for process in started:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(_alive(process) for process in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in started:
        _signal_group(process, signal.SIGKILL)


def _alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # an unreaped leader would keep its group alive
    return _signal_group(process, 0)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there still was a process of the group to signal."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS: PermissionError for a zombie
        return False
    return True


def _from_now_on(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """What every stop does."""
    for stop in STOPS:
        signal.signal(stop, handler)


def _raise_stopped(number: int, _frame: FrameType | None) -> None:
    _from_now_on(signal.SIG_IGN)  # a second one must not stop the ending
    raise Stopped(number)


if __name__ == "__main__":
    sys.exit(main())
