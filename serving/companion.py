"""A worker's side of the processes beside it: of each kind one runs on this host, as long as the
worker that started it does, and then another worker starts one."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from kizashi.errors import KizashiError
from serving.following.cache import Cache
from serving.following.follower_lock import take_lock
from serving.settings import Settings, variable

LOOK_SECONDS = 2.0
RESTART_SECONDS = 10.0
"""A process that ends at once is not started more often than this."""
GRACE_SECONDS = 3.0

log = logging.getLogger(__name__)


class Companion:
    """A process of `module`, if it was this worker that started it; who runs it holds the lock on
    `lock_file`."""

    def __init__(self, settings: Settings, cache: Cache, module: str, lock_file: Path) -> None:
        self.settings = settings
        self.cache = cache
        self.module = module
        self.lock_file = lock_file
        self.problem: str | None = None
        """Why it could not be started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")
        self._one = threading.Lock()
        """A thread that `ensure`s goes on when who waits for it is cancelled, and `stop` comes."""

    @property
    def pid(self) -> int | None:
        """Its process number, None where this worker did not start it."""
        return None if self._process is None else self._process.pid

    def ensure(self) -> None:
        """Start it unless this or another worker's is running."""
        with self._one:
            self._ensure()

    def _ensure(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                return
            log.warning("%s ended with status %s", self.module, self._process.returncode)
            self._close()
        if time.monotonic() - self._started < RESTART_SECONDS:
            return
        try:
            self.cache.create()
            lock = take_lock(self.lock_file)
            if lock is not None:
                self._start(lock)
        except (KizashiError, OSError) as error:
            if self.problem is None:
                log.error("%s cannot be started: %s", self.module, error)
            self.problem = str(error)
        else:
            self.problem = None

    async def attend(self) -> None:
        """`ensure` again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.ensure)

    def stop(self) -> None:
        """End it if this worker started it."""
        with self._one:
            self._stop()

    def _stop(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self, lock: int) -> None:
        """The child inherits the lock, so at no moment do two of them hold it, nor none."""
        values = {
            variable(name): "" if value is None else str(value) for name, value in self.settings
        }
        environment = os.environ | values | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--lock", str(lock)],
                stdin=subprocess.PIPE,
                pass_fds=(lock,),
                env=environment,
                process_group=0,  # Ctrl-C is for the service, which ends it by itself
            )
        finally:
            os.close(lock)
        self._started = time.monotonic()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None


def end_with_parent(close: Callable[[], None] | None = None) -> None:
    """Wait, in such a process, until no worker holds its standard input open; then `close` and end
    it, whatever it is doing."""
    while os.read(0, 4096):
        pass
    if close is not None:
        close()
    os._exit(0)


def follower(settings: Settings, cache: Cache) -> Companion:
    """The process that follows the model, one for each model and host."""
    return Companion(settings, cache, "serving.following.follower", cache.lock_file)


def attendant(settings: Settings, cache: Cache) -> Companion | None:
    """The process that sends notifications, one for each host; None where nobody is to be told."""
    if settings.notify_config is None or settings.database_url == "none":
        return None
    return Companion(settings, cache, "serving.attendant", settings.cache / "attendant.lock")
