"""The environments of the servers: each peer's own, made by uv from a lock beside this file."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from kizashi.errors import ConfigurationError, KizashiError

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).resolve().parent / "environments"
OF_THE_SERVICE = ROOT / "requirements" / "serving.txt"
ARROW = "arrow"
"""The service's own environment with the extra of this name."""
SECONDS = 900
"""To fetch and install one environment."""


class NotBuilt(KizashiError):
    """An environment that cannot be made here."""


@dataclass(frozen=True)
class Environments:
    """Virtual environments below `folder`, each made once for a lock; `python` stands in for the
    service's own, to measure what is installed instead of what is locked."""

    folder: Path
    uv: str | None = None
    python: Path | None = None

    def python_of(self, name: str | None) -> Path:
        """The interpreter of the environment `name`, None for the service's; raises NotBuilt."""
        if name in (None, ARROW) and self.python is not None:
            return self.python.absolute()  # not resolved: the link is what makes it an environment
        locks = [LOCKS / f"{name}.txt"] if name is not None else []
        if name in (None, ARROW):
            locks = [OF_THE_SERVICE, *locks]
        place = self.folder.absolute() / (name or "kizashi")
        python, stamp = place / "bin" / "python", place / ".made-of"
        wanted = sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
        if not (stamp.exists() and stamp.read_text() == wanted and python.exists()):
            shutil.rmtree(place, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            uv = self._uv()
            interpreter = ["--no-python-downloads", "--python", sys.executable]
            _run([uv, "venv", "--quiet", *interpreter, str(place)])
            from_lock = ["--require-hashes", "--compile-bytecode", *map(str, locks)]
            _run([uv, "pip", "sync", "--quiet", "--python", str(python), *from_lock])
            stamp.write_text(wanted)
        return python

    def _uv(self) -> str:
        """Raises ConfigurationError where there is none."""
        own = ROOT / ".uv" / "bin" / "uv"
        found = self.uv or shutil.which("uv") or (str(own) if own.exists() else None)
        if found is None:
            raise ConfigurationError("uv is missing, which makes the environments: name it (uv=)")
        return found


def _run(command: Sequence[str]) -> None:
    quiet = {**os.environ, "VIRTUAL_ENV": "", "UV_NO_PROGRESS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS, env=quiet
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(f"its environment cannot be made: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotBuilt(f"its environment cannot be made: {' '.join(said)[:300]}")
