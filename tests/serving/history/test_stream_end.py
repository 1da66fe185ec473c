"""A stream of events ends at the signal that ends the service, however young that is."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from kizashi.runtime.bundle import Bundle

SERVICE = """
import socket, sys, uvicorn
import serving.app
from serving.settings import Settings

serving.app.AFTER_SECONDS = 600.0  # what can wait until the service is ready never comes
app = serving.app.create_app(Settings(model_uri=sys.argv[2], cache=sys.argv[3]))
config = uvicorn.Config(app, timeout_graceful_shutdown=60, log_level="critical")
uvicorn.Server(config).run([socket.socket(fileno=int(sys.argv[1]))])
"""


def test_a_stream_that_is_opened_before_the_service_has_settled_ends_with_it(
    press_line: Bundle, tmp_path: Path
) -> None:
    told = b""
    with socket.create_server(("127.0.0.1", 0)) as place:
        command = [sys.executable, "-c", SERVICE, str(place.fileno())]
        process = subprocess.Popen(
            [*command, str(press_line.folder), str(tmp_path / "cache")],
            pass_fds=[place.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            with socket.create_connection(place.getsockname(), 300) as reader:
                reader.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                while b"event: hello" not in told:
                    told += reader.recv(4096)
                process.send_signal(signal.SIGTERM)
                while piece := reader.recv(4096):
                    told += piece
        finally:
            process.kill()
            process.wait()
    assert told.endswith(b"0\r\n\r\n")
