"""What is documented is what is answered: real requests and answers are held against it."""

from typing import Any

import pytest
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from serving.formats import FORMATS
from serving.verdicts.openapi import (
    BatchBody,
    BatchVerdicts,
    FullVerdict,
    ProblemDocument,
    ScoreBody,
    Verdict,
)
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.protocols.paths import PATHS

KEYED = dict(zip(("vibration", "current", "sound"), NORMAL_ROW, strict=True))


@pytest.fixture
def schema(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_every_route_of_the_api_is_documented_and_no_page_is(schema: dict[str, Any]) -> None:
    own = {path for path in schema["paths"] if not path.startswith("/api/")}
    assert own - set(PATHS) == {
        *("/anomaly", "/anomaly/batch", "/health/live", "/health/ready", "/model", "/metrics"),
    }


def test_errors_are_documented_as_problem_documents(schema: dict[str, Any]) -> None:
    for path in ("/anomaly", "/anomaly/batch"):
        responses = schema["paths"][path]["post"]["responses"]
        assert {"200", "400", "413", "415", "422", "500", "503"} <= set(responses)
        for status, response in responses.items():
            if status != "200":
                assert list(response["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_every_format_of_a_batch_is_documented(schema: dict[str, Any]) -> None:
    batch = schema["paths"]["/anomaly/batch"]["post"]
    every = {kind.decode() for kind in FORMATS}
    assert set(batch["requestBody"]["content"]) == every
    assert set(batch["responses"]["200"]["content"]) == every


@pytest.mark.parametrize("values", [NORMAL_ROW, KEYED, [NORMAL_ROW], [KEYED]])
def test_every_documented_form_of_values_is_read(client: TestClient, values: Any) -> None:
    body = {"values": values, "source": "press-01", "timestamp": "2026-01-31T08:00:00Z"}
    TypeAdapter(ScoreBody).validate_python(body)
    answer = client.post("/anomaly", json=body)
    assert answer.status_code == 200
    Verdict.model_validate_json(answer.content, strict=True)


@pytest.mark.parametrize("row", [NORMAL_ROW, ANOMALOUS_ROW, [50, 0, 0]])
def test_the_full_answer_has_its_documented_shape(client: TestClient, row: list[float]) -> None:
    answer = client.post("/anomaly?detail=full", json={"values": row})
    FullVerdict.model_validate_json(answer.content, strict=True)


def test_the_batch_answer_has_its_documented_shape(client: TestClient) -> None:
    body = {"instances": [NORMAL_ROW, KEYED]}
    BatchBody.model_validate(body)
    answer = client.post("/anomaly/batch", json=body)
    BatchVerdicts.model_validate_json(answer.content, strict=True)


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"{"},
        {"json": {"values": [1, None, "x"]}},
        {"json": {"values": 5, "nonsense": 1}},
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
    ],
)
def test_errors_have_their_documented_shape(client: TestClient, sent: dict[str, Any]) -> None:
    answer = client.post("/anomaly", **sent)
    assert answer.status_code >= 400
    ProblemDocument.model_validate_json(answer.content, strict=True)


def test_the_documented_example_is_answered(client: TestClient, schema: dict[str, Any]) -> None:
    example = schema["components"]["schemas"]["ScoreBody"]["properties"]["values"]["examples"][0]
    assert client.post("/anomaly", json={"values": example}).json()["status"] == "normal"
    rows = schema["components"]["schemas"]["BatchBody"]["properties"]["instances"]["examples"][0]
    answer = client.post("/anomaly/batch", json={"instances": rows})
    assert answer.json()["statuses"] == ["normal", "anomaly"]
    content = schema["paths"]["/anomaly/batch"]["post"]["requestBody"]["content"]
    answer = client.post(
        "/anomaly/batch",
        content=content["text/csv"]["example"],
        headers={"Content-Type": "text/csv"},
    )
    assert answer.json()["statuses"] == ["normal"]
    lines = content["application/x-ndjson"]["example"]
    answer = client.post(
        "/anomaly/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.json()["statuses"] == ["normal", "anomaly"]
