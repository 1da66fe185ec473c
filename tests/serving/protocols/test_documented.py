"""What is documented of the protocols is what they answer."""

from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from serving.protocols.openapi.anomaly_detector import (
    DetectLastAnswer,
    DetectLastBody,
    DetectorError,
)
from serving.protocols.openapi.mlflow_scoring import (
    Inputs,
    Instances,
    Predictions,
    Records,
    ScoringError,
    Split,
)
from serving.protocols.openapi.open_inference import (
    InferAnswer,
    InferBody,
    InferenceError,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
)
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.protocols.paths import PATHS

INFER = "/v2/models/press-line/infer"
DETECT = "/anomalydetector/v1.1/multivariate/models/press-line:detect-last"
SENSORS = ["vibration", "current", "sound"]
RECORD = dict(zip(SENSORS, NORMAL_ROW, strict=True))


@pytest.fixture
def schema(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_every_operation_of_every_protocol_is_documented(schema: dict[str, Any]) -> None:
    assert {path: set(schema["paths"].get(path, {})) for path in PATHS} == PATHS


def test_errors_are_documented_in_the_words_of_their_protocol(schema: dict[str, Any]) -> None:
    words: dict[str, type[BaseModel]] = {
        "/v2": InferenceError,
        "/invocations": ScoringError,
        "/anomalydetector": DetectorError,
    }
    for path, operations in schema["paths"].items():
        for prefix, model in words.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                for operation in operations.values():
                    errors_are(operation["responses"], model)


def errors_are(responses: dict[str, Any], model: type[BaseModel]) -> None:
    assert "422" not in responses
    for code, response in responses.items():
        if code == "200":
            continue
        wanted = f"#/components/schemas/{model.__name__}"
        shown = response["content"]["application/json"]["schema"]["$ref"]
        assert shown == wanted or (code == "503" and shown.endswith("/ServerReady"))


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v2", ServerMetadata),
        ("/v2/models/press-line", ModelMetadata),
        ("/v2/models/press-line/ready", ModelReady),
    ],
)
def test_what_is_told_has_its_documented_shape(
    client: TestClient, path: str, model: type[BaseModel]
) -> None:
    model.model_validate_json(client.get(path).content, strict=True)


TENSOR = {"name": "values", "shape": [2, 3], "datatype": "FP32"}
VARIABLES = [
    {"variable": name, "timestamps": ["2026-01-01T00:00:00Z"], "values": [value]}
    for name, value in zip(SENSORS, ANOMALOUS_ROW, strict=True)
]


@pytest.mark.parametrize(
    ("path", "body", "sent", "answered"),
    [
        (
            INFER,
            {"inputs": [TENSOR | {"data": [NORMAL_ROW, ANOMALOUS_ROW]}], "id": "1"},
            InferBody,
            InferAnswer,
        ),
        (
            INFER,
            {
                "inputs": [TENSOR | {"data": [*NORMAL_ROW, *ANOMALOUS_ROW]}],
                "outputs": [{"name": "score"}],
            },
            InferBody,
            InferAnswer,
        ),
        (
            "/invocations",
            {"dataframe_split": {"columns": SENSORS, "data": [NORMAL_ROW]}},
            Split,
            Predictions,
        ),
        ("/invocations", {"dataframe_records": [RECORD]}, Records, Predictions),
        ("/invocations", {"instances": [NORMAL_ROW]}, Instances, Predictions),
        ("/invocations", {"instances": [RECORD]}, Instances, Predictions),
        ("/invocations", {"inputs": RECORD}, Inputs, Predictions),
        ("/invocations", {"inputs": {"params": 1, **RECORD}, "params": {}}, Inputs, Predictions),
        (DETECT, {"variables": VARIABLES}, DetectLastBody, DetectLastAnswer),
        (DETECT, {"variables": VARIABLES, "more": 1}, DetectLastBody, DetectLastAnswer),
    ],
)
def test_requests_and_answers_have_their_documented_shapes(
    client: TestClient,
    path: str,
    body: dict[str, Any],
    sent: type[BaseModel],
    answered: type[BaseModel],
) -> None:
    sent.model_validate(body, strict=True)
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    answered.model_validate_json(answer.content, strict=True)
    assert answer.headers["x-model-name"] == "press-line"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "model"),
    [(INFER, InferenceError), ("/invocations", ScoringError), (DETECT, DetectorError)],
)
@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"{"},
        {"content": b"", "headers": {"Content-Type": "image/png"}},
        {"json": {"inputs": 3, "variables": 3}},
        {"content": b'{"\xed\xa0\x80": "\\ud800", "inputs": "\\ud800"}'},
    ],
)
def test_errors_have_their_documented_shape(
    client: TestClient, path: str, model: type[BaseModel], sent: dict[str, Any]
) -> None:
    answer = client.post(path, **sent)
    assert 400 <= answer.status_code < 500
    model.model_validate_json(answer.content, strict=True)
