"""`python -m serving.alive`: the container's health check, status 0 if the service in it answers.

It asks where the container's first process listens: `serve` listens where SageMaker asks.
"""

import os
import sys
import urllib.request
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from serving import kubernetes, sagemaker

FIRST = Path("/proc/1/cmdline")
PORT = "8000"
SECONDS = 4.0


def address(environment: MutableMapping[str, str], command: Sequence[str]) -> str:
    """Where a service with this environment and command line is asked whether it lives."""
    if command[-1:] == ["serve"]:
        sagemaker.prepare(environment)
    port = environment.get("KIZASHI_PORT", PORT)
    return f"http://127.0.0.1:{PORT if kubernetes.is_address(port) else port}/health/live"


def main(first: Path = FIRST) -> int:
    """The exit status."""
    command = first.read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    try:
        urllib.request.urlopen(address(dict(os.environ), command), timeout=SECONDS).close()
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
