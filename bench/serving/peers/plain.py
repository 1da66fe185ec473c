"""Applications written for the bench: what a server costs that does little or nothing."""

from typing import ClassVar

from bench.serving.peers.peer import Peer, Place, uvicorn
from kizashi.models.denoising import DenoisingEnsemble


class BareAsgi(Peer):
    """The floor: no framework."""

    name = "bare_asgi"
    packages = ("uvicorn",)
    what = (
        "uvicorn alone: the body is read, the answer is a constant",
        "uvicorn のみ：本文を読み、定数を返す",
    )
    scores = False

    def command(self, place: Place) -> list[str]:
        return uvicorn(place, "bare_asgi")


class EmptyFastapi(Peer):
    """The yardstick."""

    name = "empty_fastapi"
    packages: ClassVar[tuple[str, ...]] = ("fastapi", "pydantic", "uvicorn")
    what = (
        "FastAPI, pydantic in and out, and nothing between",
        "FastAPI：pydantic で受けて返すだけ",
    )
    scores = False

    def command(self, place: Place) -> list[str]:
        return uvicorn(place, "empty_fastapi")


class EmptyFastapiOnnx(EmptyFastapi):
    """The same with ONNX Runtime loaded: what a start is compared with."""

    name = "empty_fastapi_onnx"
    packages = ("fastapi", "onnxruntime")
    what = (
        "the same with ONNX Runtime and the network loaded, unused",
        "同上。ONNX Runtime とネットワークを読み込むが使わない",
    )

    def command(self, place: Place) -> list[str]:
        return uvicorn(place, "empty_fastapi_onnx")

    def variables(self, place: Place) -> dict[str, str]:
        return {"BENCH_NETWORK": str(place.bundle.folder / "network.onnx")}


class FastapiNumpy(Peer):
    """What a model behind FastAPI usually is."""

    name = "fastapi_numpy"
    packages = ("fastapi", "numpy")
    what = (
        "FastAPI, pydantic and the network alone, in NumPy",
        "FastAPI・pydantic と、NumPy によるネットワークのみ",
    )
    scores = False

    def command(self, place: Place) -> list[str]:
        return uvicorn(place, "fastapi_numpy")

    def variables(self, place: Place) -> dict[str, str]:
        network = DenoisingEnsemble(len(place.bundle.detector.contract.sensors))
        widths = [weight.shape[1] for weight in network.weights]
        return {
            "BENCH_WIDTHS": ",".join(map(str, [*widths, network.n_sensors])),
            "BENCH_MEMBERS": str(network.members),
        }
