"""Servers of models, each with this project's detector, started as their documents say, with one
worker and without logs of requests."""

import json
from collections.abc import Sequence

from bench.serving.peers.peer import APPS, IMPORTS, ROOT, Peer, Place


class UsersPython(Peer):
    """A server that runs Python of its user: here bench/serving/apps/verdicts.py."""

    def variables(self, place: Place) -> dict[str, str]:
        return {
            "PYTHONPATH": IMPORTS,
            "BENCH_BUNDLE": str(place.bundle.folder),
            "BENCH_PORT": str(place.port),
        }


class LitServe(UsersPython):
    """Its worker is a process beside the one that answers."""

    name = "litserve"
    packages = ("litserve",)
    environment = "litserve"
    what = ("LitServe with this detector", "LitServe（同じ検知器）")
    ready = "/health"

    def command(self, place: Place) -> list[str]:
        return [str(place.python), "-m", f"{APPS}.litserve_app"]


class MLServer(UsersPython):
    """Its parallel workers are off, which is its cheapest way to run."""

    name = "mlserver"
    packages = ("mlserver",)
    environment = "mlserver"
    what = (
        "MLServer, custom runtime with this detector",
        "MLServer（カスタムランタイム、同じ検知器）",
    )
    path = "/v2/models/anomaly/infer"
    ready = "/v2/models/anomaly/ready"

    def prepare(self, place: Place) -> None:
        settings = {
            "host": "127.0.0.1",
            "http_port": place.port,
            "parallel_workers": 0,
            "debug": False,
            "use_structured_logging": False,
        }
        model = {"name": "anomaly", "implementation": f"{APPS}.mlserver_runtime.Anomaly"}
        (place.folder / "settings.json").write_text(json.dumps(settings))
        (place.folder / "model-settings.json").write_text(json.dumps(model))

    def command(self, place: Place) -> list[str]:
        return [str(place.python.parent / "mlserver"), "start", str(place.folder)]

    def variables(self, place: Place) -> dict[str, str]:
        ports = {"MLSERVER_GRPC_PORT": str(place.port + 1), "MLSERVER_METRICS_PORT": "0"}
        return {**super().variables(place), **ports, "MLSERVER_HTTP_PORT": str(place.port)}

    def body(self, row: Sequence[float], names: Sequence[str]) -> str:
        tensor = {"name": "values", "shape": [1, len(row)], "datatype": "FP64", "data": list(row)}
        return json.dumps({"inputs": [tensor]})

    def score(self, answer: bytes) -> float:
        return float(json.loads(answer)["outputs"][0]["data"][0])


class BentoML(UsersPython):
    """Its service is a class with typed methods."""

    name = "bentoml"
    packages = ("bentoml",)
    environment = "bentoml"
    what = ("BentoML with this detector", "BentoML（同じ検知器）")
    ready = "/readyz"

    def command(self, place: Place) -> list[str]:
        return [
            *(str(place.python.parent / "bentoml"), "serve", f"{APPS}.bentoml_app:Anomaly"),
            *("--working-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(place.port)),
        ]

    def variables(self, place: Place) -> dict[str, str]:
        return {**super().variables(place), "BENTOML_HOME": str(place.folder / "home")}


class MlflowServe(Peer):
    """The logged model, with its signature, and rows as its documents send them."""

    name = "mlflow_serve"
    packages = ("mlflow",)
    environment = "mlflow"
    what = (
        "`mlflow models serve` of the logged model",
        "`mlflow models serve`（記録されたモデル）",
    )
    path = "/invocations"
    ready = "/ping"
    wants_logged = True

    def command(self, place: Place) -> list[str]:
        return [
            *(str(place.python.parent / "mlflow"), "models", "serve"),
            *("--model-uri", str(place.logged), "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(place.port), "--workers", "1"),
        ]

    def body(self, row: Sequence[float], names: Sequence[str]) -> str:
        return json.dumps({"dataframe_split": {"columns": list(names), "data": [list(row)]}})

    def score(self, answer: bytes) -> float:
        return float(json.loads(answer)["predictions"][0]["score"])
