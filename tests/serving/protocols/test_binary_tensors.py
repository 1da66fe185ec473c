"""Binary tensors of the Open Inference Protocol V2: bytes behind the JSON, asked and answered."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.protocols.inference import (
    INFER,
    close,
    error_of,
    outputs_of,
    own_score,
    request,
    tensor,
)


def binary(content: dict[str, Any], behind: bytes, **more: str) -> dict[str, Any]:
    head = json.dumps(content).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), **more}
    return {"content": head + behind, "headers": headers}


def binary_tensor(size: object, datatype: str = "FP32", rows: int = 1) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {"name": "values", "shape": [rows, 3], "datatype": datatype, "parameters": parameters}


def test_bytes_behind_the_json_are_the_tensor(client: TestClient) -> None:
    content = {"inputs": [binary_tensor(12)], "outputs": [{"name": "score"}]}
    answer = client.post(INFER, **binary(content, struct.pack("<3f", 1, 2, 3)))
    assert outputs_of(answer)["score"] == close([own_score(client, [1, 2, 3])])


@pytest.mark.parametrize(
    ("datatype", "code"),
    [("FP16", "e"), ("FP64", "d"), ("INT8", "b"), ("INT64", "q"), ("UINT32", "I")],
)
def test_binary_numbers_of_every_kind_are_read(
    client: TestClient, datatype: str, code: str
) -> None:
    behind = struct.pack(f"<3{code}", 1, 2, 3)
    content = {"inputs": [binary_tensor(len(behind), datatype)]}
    headers = {"Content-Type": "application/octet-stream"}
    answer = client.post(INFER, **binary(content, behind, **headers))
    assert outputs_of(answer)["score"] == close([own_score(client, [1, 2, 3])])


def test_the_tensors_of_several_sensors_come_one_behind_the_other(client: TestClient) -> None:
    inputs = [
        {"name": name, "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}
        for name in ("sound", "current")
    ]
    inputs.insert(1, {"name": "vibration", "shape": [1], "datatype": "INT8", "data": [1]})
    answer = client.post(INFER, **binary({"inputs": inputs}, struct.pack("<2f", 3, 2)))
    assert outputs_of(answer)["score"] == close([own_score(client, [1, 2, 3])])


def test_outputs_are_binary_where_the_request_says_so(client: TestClient) -> None:
    asked = [{"name": "status", "parameters": {"binary_data": True}}, {"name": "p_value"}]
    asked.append({"name": "score", "parameters": {"binary_data": True}})
    body = request([*NORMAL_ROW, *ANOMALOUS_ROW], [2, 3]) | {"outputs": asked, "id": "é"}
    answer = client.post(INFER, json=body)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    content = json.loads(answer.content[:length])
    assert content["id"] == "é"
    status, p_value, score = content["outputs"]
    assert status["parameters"] == {"binary_data_size": 21}
    assert "data" not in status and "parameters" not in p_value
    behind = answer.content[length:]
    assert behind[:21] == b"\x06\x00\x00\x00normal\x07\x00\x00\x00anomaly"
    assert score["parameters"] == {"binary_data_size": 16}
    scores = struct.unpack("<2d", behind[21:])
    assert list(scores) == close([own_score(client, row) for row in (NORMAL_ROW, ANOMALOUS_ROW)])


def test_all_outputs_are_binary_by_default_if_the_request_says_so(client: TestClient) -> None:
    body = request(NORMAL_ROW, [1, 3]) | {"parameters": {"binary_data_output": True}}
    answer = client.post(INFER, json=body)
    length = int(answer.headers["inference-header-content-length"])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert [one["parameters"]["binary_data_size"] for one in outputs] == [8, 10, 8, 24]
    body["outputs"] = [{"name": "score", "parameters": {"binary_data": False}}]
    assert outputs_of(client.post(INFER, json=body))["score"] == close(
        [own_score(client, NORMAL_ROW)]
    )


def test_nan_in_a_binary_tensor_is_missing_and_infinity_is_refused(filling: TestClient) -> None:
    path = "/v2/models/filling/infer"
    content = {"inputs": [binary_tensor(24, "FP64")], "outputs": [{"name": "score"}]}
    answer = filling.post(path, **binary(content, struct.pack("<3d", 1.2, np.nan, 1.1)))
    assert outputs_of(answer)["score"] == close([own_score(filling, [1.2, None, 1.1])])
    answer = filling.post(path, **binary(content, struct.pack("<3d", 1.2, np.inf, 1.1)))
    assert "row 0: sensor 'current' is Infinity" in error_of(answer)


@pytest.mark.parametrize(
    ("inputs", "behind", "said"),
    [
        (
            [binary_tensor(12)],
            b"",
            "12; a whole number is needed, at most the 0 bytes that are left",
        ),
        ([binary_tensor(12)], b"x" * 13, "13 bytes came behind the JSON, and"),
        ([binary_tensor(11)], b"x" * 11, "has 11 bytes; FP32 of shape [1, 3] has 12"),
        ([binary_tensor(-1)], b"x" * 12, "is -1; a whole number is needed"),
        ([binary_tensor("12")], b"x" * 12, "is '12'; a whole number is needed"),
        ([binary_tensor(True)], b"x" * 12, "is true; a whole number is needed"),
        ([binary_tensor(12, "BF16")], b"x" * 12, "datatype of input 'values' is 'BF16'"),
        ([binary_tensor(12) | {"data": [1, 2, 3]}], b"x" * 12, "has both data and"),
        ([binary_tensor(12, rows=10**12)], b"x" * 12, "has 12 bytes; FP32 of shape"),
        ([tensor(NORMAL_ROW, [1, 3])], b"x", "1 bytes came behind the JSON, and"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(
    client: TestClient, inputs: list[Any], behind: bytes, said: str
) -> None:
    assert said in error_of(client.post(INFER, **binary({"inputs": inputs}, behind)))


@pytest.mark.parametrize("length", ["x", "-1", "99999999", "1.5", "9" * 60])
def test_a_wrong_length_of_the_json_is_refused(client: TestClient, length: str) -> None:
    answer = client.post(
        INFER,
        json=request(NORMAL_ROW, [1, 3]),
        headers={"Inference-Header-Content-Length": length},
    )
    assert f"Inference-Header-Content-Length is '{length[:40]}'" in error_of(answer)


def test_a_length_that_cuts_the_json_is_refused(client: TestClient) -> None:
    headers = {"Inference-Header-Content-Length": "10"}
    answer = client.post(INFER, json=request(NORMAL_ROW, [1, 3]), headers=headers)
    assert "the body is not JSON" in error_of(answer)
