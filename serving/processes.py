"""The processes that answer: one, or several workers under a parent that replaces those that end.

Both end the same way. The listener is closed first, so that a balancer sees at once that nobody
takes new requests; what is under way is answered within GRACE_SECONDS; what is not done by then is
cut off, and the processes end at the latest LINGER_SECONDS later, whatever their threads compute.
So do workers whose parent is no more: nothing would replace them, and they would keep the port.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from serving.following.cache import Cache
from serving.http.connections import Connection
from serving.logs import log_config
from serving.metrics.shared import prepare
from serving.settings import Settings, variable

GRACE_SECONDS = 10
LINGER_SECONDS = 5
HUNG_SECONDS = 15
"""A worker that does not answer its parent for so long is replaced; starting takes some of it."""

log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Run until a signal ends it."""
    config = uvicorn.Config(
        "serving.main:app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=Connection,
        access_log=False,
        log_config=log_config(settings.log_format),
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=HUNG_SECONDS,
        server_header=False,
    )
    if settings.metrics_folder is None:
        _share_counts(settings)
    with suppress(KeyboardInterrupt):
        if config.workers > 1:
            Workers(config, [config.bind_socket()]).run()
            return
        config.load_app()
        alone = Alone(config)
        alone.run()
        if not alone.started:
            sys.exit(STARTUP_FAILURE)


def _share_counts(settings: Settings) -> None:
    """Give the workers, which inherit the environment, a folder for what they count."""
    try:
        folder = prepare(Cache(settings.cache, settings.key).own / "metrics")
    except OSError as error:  # a full disk: a model may be cached nevertheless
        log.error("each worker answers /metrics for itself alone: %s", error)
    else:
        os.environ[variable("metrics_folder")] = str(folder.resolve())


def end_with_parent() -> None:
    """In a worker: end as at a signal, once the process that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        waiting = threading.Thread(target=_end_after, args=(parent,), daemon=True, name="parent")
        waiting.start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    log.error("the parent %s of this worker has ended; it ends, too", parent.pid)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + LINGER_SECONDS)
    os._exit(1)


class Alone(uvicorn.Server):
    """The one process that answers."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # The interpreter waits for its threads, and a batch in one of them cannot be called off.
        end = threading.Timer(LINGER_SECONDS, os._exit, (1,))
        end.daemon = True
        end.start()


class Workers(Multiprocess):
    """The parent of several workers."""

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if old is not new:
                told = "worker %s ended with status %s; %s takes its place"
                log.warning(told, old.pid, old.exitcode, new.pid)

    def terminate_all(self) -> None:
        # As long as this copy is open, connections are taken that no worker will look at.
        for one in self.sockets:
            one.close()
        super().terminate_all()

    def join_all(self) -> None:
        deadline = time.monotonic() + GRACE_SECONDS + LINGER_SECONDS
        for one in self.processes:
            one.process.join(max(0.0, deadline - time.monotonic()))
            if one.process.is_alive():
                log.error("worker %s does not end and is killed", one.pid)
                one.process.kill()
        super().join_all()
