"""The service itself, as `python -m serving` runs it."""

import os
from typing import ClassVar

from bench.serving.peers.peer import ROOT, Peer, Place


class Kizashi(Peer):
    name = "kizashi"
    what = (
        "this project's service: validation, calibration, keys, metrics, request ids",
        "本プロジェクト：入力検証・較正・キー・メトリクス・リクエスト ID をすべて有効",
    )
    ready: ClassVar[str] = "/health/ready"

    def command(self, place: Place) -> list[str]:
        return [str(place.python), "-m", "serving"]

    def variables(self, place: Place) -> dict[str, str]:
        return {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
            "KIZASHI_MODEL_URI": str(place.bundle.folder),
            "KIZASHI_CACHE": str(place.folder / "cache"),
            "KIZASHI_PORT": str(place.port),
            "KIZASHI_WORKERS": str(place.workers),
        }
