"""What `make demo` runs: the service as `make serve` runs it, and a simulated line beside it.

Six presses send a row a second each, as a gateway beside a PLC would, until Ctrl-C. The simulation
runs thirty times as fast as its machines: a row there is half a minute. With KIZASHI_DEMO_URL the
line talks to a service that runs elsewhere, with KIZASHI_API_KEY as its key, and starts none.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from kizashi.data.line import LINE, Machine, Reading

LOCAL = Path(__file__).with_name("local.py")
RULES = Path(__file__).with_name("demo-rules.yaml")
SECONDS_PER_ROW = 1.0
ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 600.0
"""A first `make demo` trains before anything can be judged."""
FIRST = (
    "The line will be at {address}. The first time a model is trained before anything can be "
    "judged: its page waits for it, and goes on by itself."
)
RUNNING = (
    "Six simulated presses send a row a second each. Watch them at {address}: the first fault "
    "comes within half a minute, and others follow. Ctrl-C ends it."
)


class Gateway:
    """Sends the rows of one machine, and goes on after whatever goes wrong on the way."""

    def __init__(self, machine: Machine, address: str, stop: threading.Event) -> None:
        self.machine = machine
        self._stop = stop
        self._place = urlsplit(address)
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Send a row a second until told to stop; rows that cannot be sent are lost, as with a
        machine whose network is down."""
        due = time.monotonic()
        for reading in self.machine.rows():
            if reading is not None:
                try:
                    self._send(reading)
                except (OSError, http.client.HTTPException):
                    self._connection = None
            due += SECONDS_PER_ROW
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return

    def _send(self, reading: Reading) -> None:
        if self._connection is None:
            kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
            kind = kinds[self._place.scheme]
            self._connection = kind(self._place.netloc, timeout=ANSWER_SECONDS)
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("KIZASHI_API_KEY"):
            headers["X-API-Key"] = key
        body = {
            "values": reading,
            "source": self.machine.name,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        path = f"{self._place.path.rstrip('/')}/anomaly"
        self._connection.request("POST", path, json.dumps(body), headers)
        self._connection.getresponse().read()


def main() -> int:
    """The exit status: the service's own where this process started it."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    elsewhere = os.environ.get("KIZASHI_DEMO_URL")
    if elsewhere:
        return _run_line(elsewhere.rstrip("/"), stop)
    host, port = os.environ["KIZASHI_HOST"], os.environ["KIZASHI_PORT"]
    place = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    address = f"http://[{place}]:{port}" if ":" in place else f"http://{place}:{port}"
    print(FIRST.format(address=address), flush=True)
    rules = os.environ.get("KIZASHI_ALARM_RULES", str(RULES))
    service = subprocess.Popen(
        [sys.executable, str(LOCAL), "--at-once"],
        env={**os.environ, "KIZASHI_ALARM_RULES": rules},
        start_new_session=True,
    )
    try:
        if _answers(address, service, stop):
            _run_line(address, stop, service)
    finally:
        service.terminate()
        status = service.wait()
    return 0 if stop.is_set() else status


def _answers(address: str, service: subprocess.Popen[bytes], stop: threading.Event) -> bool:
    """Wait until a row can be scored; False when the service ended or there is no need any more."""
    place = urlsplit(address)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and service.poll() is None and not stop.wait(0.5):
        try:
            connection = http.client.HTTPConnection(place.netloc, timeout=ANSWER_SECONDS)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except (OSError, http.client.HTTPException):
            continue
    return False


def _run_line(
    address: str, stop: threading.Event, service: subprocess.Popen[bytes] | None = None
) -> int:
    print(RUNNING.format(address=address), flush=True)
    gateways = [Gateway(machine, address, stop) for machine in LINE]
    threads = [threading.Thread(target=gateway.run) for gateway in gateways]
    for thread in threads:
        thread.start()
    while not stop.wait(0.5):
        if service is not None and service.poll() is not None:
            stop.set()
            for thread in threads:
                thread.join()
            stop.clear()  # the service ended by itself: its status is the answer
            return 1
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
