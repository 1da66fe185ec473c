"""A worker's side of the follower: one runs on this host, and it ends with the worker."""

import asyncio
import logging
import os
import subprocess
import sys
import time

from kizashi.errors import KizashiError
from serving.cache import Cache
from serving.follower_lock import take_lock
from serving.settings import Settings, variable

LOOK_SECONDS = 2.0
RESTART_SECONDS = 10.0
"""A follower that ends at once is not started more often than this."""
GRACE_SECONDS = 3.0

log = logging.getLogger(__name__)


class FollowerProcess:
    """The follower that this worker started, if it was this one."""

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self.settings = settings
        self.cache = cache
        self.problem: str | None = None
        """Why no follower could be started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")

    @property
    def pid(self) -> int | None:
        """The process of the follower that this worker started, None when it is not this one."""
        return None if self._process is None else self._process.pid

    def ensure(self) -> None:
        """Start a follower unless this or another worker's is running."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            log.warning("the follower ended with status %s", self._process.returncode)
            self._close()
        if time.monotonic() - self._started < RESTART_SECONDS:
            return
        try:
            self.cache.create()
            lock = take_lock(self.cache.lock_file)
            if lock is not None:
                self._start(lock)
        except (KizashiError, OSError) as error:
            if self.problem is None:
                log.error("no follower can be started: %s", error)
            self.problem = str(error)
        else:
            self.problem = None

    async def attend(self) -> None:
        """`ensure` again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.ensure)

    def stop(self) -> None:
        """End the follower that this worker started."""
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
                [sys.executable, "-m", "serving.follower", "--lock", str(lock)],
                stdin=subprocess.PIPE,
                pass_fds=(lock,),
                env=environment,
                process_group=0,  # Ctrl-C is for the service, which ends its follower itself
            )
        finally:
            os.close(lock)
        self._started = time.monotonic()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None
