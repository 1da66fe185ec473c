"""Requests of the Open Inference Protocol V2, and what is read from their answers."""

from typing import Any

import pytest
from starlette.testclient import TestClient

MODEL = "/v2/models/press-line"
INFER = f"{MODEL}/infer"


def tensor(data: Any, shape: list[int], datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    return {"name": "values", "shape": shape, "datatype": datatype, "data": data, **more}


def request(data: Any, shape: list[int], *outputs: str, **more: Any) -> dict[str, Any]:
    asked = {"outputs": [{"name": name} for name in outputs]} if outputs else {}
    return {"inputs": [tensor(data, shape)], **asked, **more}


def outputs_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def error_of(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert list(content) == ["error"]
    return str(content["error"])


def close(scores: list[float]) -> Any:
    """Several rows at once are rounded otherwise than one."""
    return pytest.approx(scores, rel=1e-9)


def own_score(client: TestClient, row: Any) -> float:
    return float(client.post("/anomaly", json={"values": row}).json()["score"])
