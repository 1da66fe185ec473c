"""The service itself, as `python -m serving` runs it, with everything switched on."""

import os
import subprocess

from bench.serving.peers.peer import IMPORTS, ROOT, Peer, Place

KEYS, KEY = "keys.json", "key.txt"


class Kizashi(Peer):
    """With a key on every request."""

    name = "kizashi"
    packages = ("fastapi", "onnxruntime", "numpy")
    what = (
        "this service, `python -m serving`, with the default detector",
        "本サービス（`python -m serving`、既定の検知器）",
    )
    ready = "/health/ready"

    def command(self, place: Place) -> list[str]:
        return [str(place.python), "-m", "serving"]

    def variables(self, place: Place) -> dict[str, str]:
        return {
            "PYTHONPATH": IMPORTS,
            "KIZASHI_MODEL_URI": str(place.bundle.folder),
            "KIZASHI_CACHE": str(place.folder / "cache" / place.bundle.hash[:12]),
            "KIZASHI_KEYS_FILE": str(place.folder / KEYS),
            "KIZASHI_PORT": str(place.port),
            "KIZASHI_WORKERS": str(place.workers),
            **place.settings,
        }

    def prepare(self, place: Place) -> None:
        """Compile the code, as the container's is, and make the key of the requests; once."""
        if not (place.folder / KEY).exists():
            code = [ROOT / "src", ROOT / "serving"]
            subprocess.run([place.python, "-m", "compileall", "-q", *code], check=True)
            made = subprocess.run(
                [place.python, "-m", "serving.keys", "create", "--name=bench", "--scope=score"],
                env={**os.environ, **self.variables(place)},
                capture_output=True,
                text=True,
                check=True,
            )
            (place.folder / KEY).write_text(made.stdout.strip())

    def headers(self, place: Place) -> dict[str, str]:
        return {"X-API-Key": (place.folder / KEY).read_text()}


class KizashiWithoutHistory(Kizashi):
    """What it costs when no verdict is kept: the difference is the history's share."""

    name = "kizashi_without_history"
    what = (
        "the same service without a history, `KIZASHI_DATABASE_URL=none`",
        "履歴を残さない同じサービス（`KIZASHI_DATABASE_URL=none`）",
    )

    def variables(self, place: Place) -> dict[str, str]:
        return {**super().variables(place), "KIZASHI_DATABASE_URL": "none"}
