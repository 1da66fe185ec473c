"""Open Inference Protocol V2, as KServe and Triton and their clients speak it.

The model's outputs are `score`, `status`, `p_value` and `contributions`; a request that names none
is answered with all of them, as the protocol has it. `score` and `status` alone are the quickest.

Sources: KServe, "Open Inference Protocol (V2)"; Triton Inference Server, its extensions to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from fastapi import Response
from starlette.routing import Route

from kizashi.runtime.contract import shown
from serving.errors import Failure, UnknownModel, invalid
from serving.following.detectors import Served
from serving.http.requests import media_type
from serving.protocols import binary_tensors
from serving.protocols.binary_tensors import OCTETS, SIZE
from serving.protocols.endpoint import JSON, Answer, Asked, Endpoint, encode_list, read_struct, said
from serving.protocols.tensors import InputTensor, read_windows
from serving.verdicts.score import status
from serving.verdicts.scoring import Scoring

PREFIX = "/v2"
MODEL = PREFIX + "/models/{model}"
VERSION = MODEL + "/versions/{version}"
OUTPUTS = {"score": "FP64", "status": "BYTES", "p_value": "FP64", "contributions": "FP64"}
STATUS = {422: 400}
"""The protocol has 400 for everything that is wrong with a request's content."""
NOT_SUPPORTED = ("shared_memory_region", "classification")

Values = npt.NDArray[np.float64] | list[str]


class OutputAsked(msgspec.Struct):
    """One of a request's `outputs`."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """The JSON of a request. Other names in it are ignored: the protocol may be extended."""

    inputs: list[InputTensor]
    outputs: list[OutputAsked] = []
    id: str | None = None
    parameters: dict[str, Any] = {}


def routes(scoring: Scoring, limit: int) -> list[Route]:
    """What answers; `serving.protocols.openapi` declares the same paths."""
    endpoint = Endpoint(scoring, limit, "open_inference", infer)
    return [Route(f"{path}/infer", endpoint, methods=["POST"]) for path in (MODEL, VERSION)]


def dialect(failure: Failure) -> Response:
    """`{"error": "…"}`: what went wrong, in one text."""
    body = msgspec.json.encode({"error": said(failure)})
    code = STATUS.get(failure.status, failure.status)
    return Response(body, code, headers=failure.headers, media_type="application/json")


def require(served: Served, model: str, version: str | None = None) -> None:
    """Raise UnknownModel when the path names another model or version than the one served."""
    if model != served.name:
        raise UnknownModel(f"model {shown(model)} is not served here; '{served.name}' is")
    if version is not None and version != served.version:
        raise UnknownModel(
            f"version {shown(version)} of '{served.name}' is not served now; '{served.version}' is"
        )


def infer(asked: Asked) -> Answer:
    """Score what one request brings."""
    served = asked.served
    require(served, asked.path["model"], asked.path.get("version"))
    media_type(asked.headers, (JSON, OCTETS))
    head, rest = binary_tensors.split(asked.headers, asked.body)
    request = read_request(head)
    windows_BTF = read_windows(request.inputs, rest, served.detector.contract)
    wanted = [output.name for output in request.outputs] or list(OUTPUTS)
    content: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if request.id is not None:
        content["id"] = request.id
    return write(content, judge(asked, windows_BTF, wanted), binary_outputs(request))


def read_request(head: bytes) -> InferRequest:
    """The JSON of a request; raises MalformedBody or InvalidRow."""
    request = read_struct(head, InferRequest, "Open Inference request")
    if request.id is not None and any("\ud800" <= one <= "\udfff" for one in request.id):
        raise invalid("id has half of a surrogate pair, which no answer can repeat")
    names = [output.name for output in request.outputs]
    for number, name in enumerate(names):
        if name not in OUTPUTS or name in names[:number]:
            wrong = "is asked for twice" if name in OUTPUTS else "is unknown"
            raise invalid(f"output {shown(name)} {wrong}; there are {', '.join(OUTPUTS)}")
    parts: list[InputTensor | OutputAsked] = [*request.inputs, *request.outputs]
    for part in parts:
        for feature in NOT_SUPPORTED:
            if part.parameters.get(feature):
                raise invalid(f"{shown(part.name)} asks for {feature}, which is not supported here")
    return request


def binary_outputs(request: InferRequest) -> set[str]:
    """The outputs that are to be binary: those that say so, or all if the request does."""
    every = request.parameters.get("binary_data_output") is True
    asked = {one.name: one.parameters.get("binary_data", every) for one in request.outputs}
    return {name for name in OUTPUTS if asked.get(name, every) is True}


def judge(
    asked: Asked, windows_BTF: npt.NDArray[np.float64], wanted: Sequence[str]
) -> dict[str, Values]:
    """The wanted outputs by name; what is not wanted is not worked out."""
    scoring, served, origin = asked.scoring, asked.served, asked.origin
    values: dict[str, Values] = {}
    if "contributions" in wanted:
        verdicts = scoring.full(served, windows_BTF, origin)
        score_B, anomaly_B = verdicts.score_B, verdicts.anomaly_B
        values["contributions"] = verdicts.contribution_BF * score_B[:, None]
    elif len(windows_BTF) == 1:
        score, anomaly = scoring.one(served, windows_BTF[0], origin)
        score_B, anomaly_B = np.array([score]), np.array([anomaly])
    else:
        score_B, anomaly_B = scoring.windows(served, windows_BTF, origin)
    values["score"] = score_B
    values["status"] = [status(anomaly) for anomaly in anomaly_B]
    if "p_value" in wanted:
        values["p_value"] = served.detector.calibration.p_value(score_B)
    return {name: values[name] for name in wanted}


def write(content: dict[str, Any], values: Mapping[str, Values], binary: set[str]) -> Answer:
    """The answer, whose JSON begins with `content`; with bytes behind it for `binary` outputs."""
    outputs, behind = [], []
    for name, output in values.items():
        shape = [len(output)] if isinstance(output, list) else list(output.shape)
        tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": OUTPUTS[name]}
        if name in binary:
            behind.append(binary_tensors.packed(output))
            tensor["parameters"] = {SIZE: len(behind[-1])}
        else:
            flat = output if isinstance(output, list) else output.ravel().tolist()
            tensor["data"] = encode_list(flat)
        outputs.append(tensor)
    head = msgspec.json.encode(content | {"outputs": outputs})
    if not behind:
        return Answer(head)
    length = (binary_tensors.LENGTH, b"%d" % len(head))
    return Answer(head + b"".join(behind), OCTETS, (length,))
