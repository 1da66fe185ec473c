"""The Open Inference Protocol: the operations that tell of the server and its model, and what is
documented of `infer`, which `serving.protocols.open_inference` answers before it gets here."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from serving.errors import RETRY_SECONDS
from serving.protocols.binary_tensors import DTYPES
from serving.protocols.open_inference import MODEL, OUTPUTS, PREFIX, VERSION, require
from serving.protocols.openapi import NAMED, Exact, Open, failures
from serving.protocols.tensors import INPUT
from serving.verdicts.scoring import Scoring

BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "kizashi_bundle"

Cell = float | None
OutputName = Literal["score", "status", "p_value", "contributions"]


class InferenceError(Exact):
    """What went wrong."""

    error: str


class ServerMetadata(Exact):
    """What answers."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(Exact):
    """Whether the process answers."""

    live: Literal[True] = True


class ServerReady(Exact):
    """Whether values can be scored now."""

    ready: bool


class ModelReady(Exact):
    """The model, which can score now."""

    name: str
    ready: Literal[True] = True


class TensorMetadata(Exact):
    """A tensor of the model; -1 is the number of rows or windows, as many as are sent."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Exact):
    """The served model; GET /model has its sensors and their order."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputView(Open):
    """A tensor, `values` or one for each sensor; `data` is flat or nested, null is missing."""

    name: str = Field(examples=[INPUT])
    shape: list[Annotated[int, Field(ge=0)]] = Field(examples=[[1, 3]])
    datatype: str = Field(examples=["FP32"], description=f"One of {', '.join(DTYPES)}")
    data: list[Cell | list[Cell | list[Cell]]] | None = Field(None, examples=[[1.2, 0.9, 1.1]])
    parameters: dict[str, Any] = Field(default_factory=dict)


class OutputView(Open):
    """An output that is asked for."""

    name: OutputName
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferBody(Open):
    """Rows to score; without `outputs` all of them are answered."""

    inputs: Annotated[list[InputView], Field(min_length=1)]
    outputs: list[OutputView] = Field(default_factory=list)
    id: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class OutputTensor(Exact):
    """An output, one value a row or window; `contributions` has one for each sensor besides."""

    name: OutputName
    shape: list[int]
    datatype: Literal["FP64", "BYTES"]
    data: list[float] | list[str] | None = None
    parameters: dict[str, int] | None = None


class InferAnswer(Exact):
    """The outputs, in the order in which they were asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


router = APIRouter(tags=["Open Inference Protocol V2"])
_LOCKED = failures(InferenceError, 401, 403, 429)
_READY_FAILS = failures(InferenceError, 404, 500, 503)
_MODEL_FAILS = _READY_FAILS | _LOCKED
_INFER: dict[str, Any] = {
    "summary": "Score rows or windows",
    "response_model": InferAnswer,
    "responses": {
        200: {"headers": NAMED, "content": BINARY},
        **failures(InferenceError, 400, 408, 413, 415),
        **_MODEL_FAILS,
    },
    "openapi_extra": {"requestBody": {"content": BINARY}},
}
JsonLength = Annotated[
    int | None,
    Header(
        alias="Inference-Header-Content-Length",
        ge=0,
        description="How many bytes of the body are JSON; the rest are binary tensors",
    ),
]


@router.get(PREFIX, summary="What answers?", responses=_LOCKED)
async def server() -> ServerMetadata:
    """Name, version and the extensions of the protocol that are spoken."""
    try:
        own = version("kizashi")
    except PackageNotFoundError:  # run from a checkout that is not installed
        own = "0"
    return ServerMetadata(name="kizashi", version=own, extensions=EXTENSIONS)


@router.get(PREFIX + "/health/live", summary="Does the process answer?")
async def live() -> ServerLive:
    """200 as long as the process answers."""
    return ServerLive()


@router.get(
    PREFIX + "/health/ready",
    summary="Can a row be scored now?",
    response_model=ServerReady,
    responses={503: {"model": ServerReady, "description": "No model is ready"}},
)
async def ready(request: Request) -> JSONResponse:
    """200 when a row can be scored, 503 when not; GET /health/ready says why not."""
    scoring: Scoring = request.app.state.scoring
    if scoring.detectors.held() is None:
        return JSONResponse({"ready": False}, 503, {"Retry-After": str(RETRY_SECONDS)})
    return JSONResponse({"ready": True})


@router.get(MODEL + "/ready", summary="Can this model score now?", responses=_READY_FAILS)
async def model_ready(request: Request, model: str) -> ModelReady:
    """200 when the model is served; 404 for another one."""
    return _ready(request, model)


@router.get(VERSION + "/ready", summary="Can this version score now?", responses=_READY_FAILS)
async def version_ready(request: Request, model: str, version: str) -> ModelReady:
    """200 when this version is served; 404 for another one."""
    return _ready(request, model, version)


@router.get(MODEL, summary="What does this model read and answer?", responses=_MODEL_FAILS)
async def model(request: Request, model: str) -> ModelMetadata:
    """The tensors of the model; GET /model has its sensors and their order."""
    return _metadata(request, model)


@router.get(VERSION, summary="What does this version read and answer?", responses=_MODEL_FAILS)
async def model_version(request: Request, model: str, version: str) -> ModelMetadata:
    """The tensors of the served version."""
    return _metadata(request, model, version)


@router.post(MODEL + "/infer", **_INFER)
def infer(model: str, body: InferBody, json_length: JsonLength = None) -> None:
    """Score rows, shape (B, F), or windows of a windowed model, shape (B, T, F).

    With the binary tensor extension the body is JSON with bytes behind it.
    """


@router.post(VERSION + "/infer", **_INFER)
def infer_version(
    model: str, version: str, body: InferBody, json_length: JsonLength = None
) -> None:
    """Score with this version, if it is the one that is served; 404 if it is not."""


def _ready(request: Request, model: str, version: str | None = None) -> ModelReady:
    scoring: Scoring = request.app.state.scoring
    require(scoring.held(), model, version)
    return ModelReady(name=model)


def _metadata(request: Request, model: str, version: str | None = None) -> ModelMetadata:
    scoring: Scoring = request.app.state.scoring
    served = scoring.held()
    require(served, model, version)
    contract = served.detector.contract
    width, length = len(contract.sensors), contract.window_length
    rows = [-1] if length == 1 else [-1, length]
    shape_of = {name: [-1, width] if name == "contributions" else [-1] for name in OUTPUTS}
    return ModelMetadata(
        name=served.name,
        versions=[served.version],
        platform=PLATFORM,
        inputs=[TensorMetadata(name=INPUT, datatype="FP32", shape=[*rows, width])],
        outputs=[
            TensorMetadata(name=name, datatype=datatype, shape=shape_of[name])
            for name, datatype in OUTPUTS.items()
        ],
    )
