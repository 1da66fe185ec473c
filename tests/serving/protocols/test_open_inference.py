"""Open Inference Protocol V2, against the examples of its specification."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.protocols.inference import (
    INFER,
    MODEL,
    close,
    error_of,
    outputs_of,
    own_score,
    request,
    tensor,
)


def test_the_server_tells_of_itself(client: TestClient) -> None:
    metadata = client.get("/v2").json()
    assert list(metadata) == ["name", "version", "extensions"]
    assert metadata["name"] == "kizashi"
    assert metadata["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_the_model_tells_of_its_tensors(client: TestClient, press_line: Bundle) -> None:
    version = press_line.hash[:12]
    metadata = {
        "name": "press-line",
        "versions": [version],
        "platform": "kizashi_bundle",
        "inputs": [{"name": "values", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [-1]},
            {"name": "status", "datatype": "BYTES", "shape": [-1]},
            {"name": "p_value", "datatype": "FP64", "shape": [-1]},
            {"name": "contributions", "datatype": "FP64", "shape": [-1, 3]},
        ],
    }
    for path in (MODEL, f"{MODEL}/versions/{version}"):
        assert client.get(path).json() == metadata
        assert client.get(f"{path}/ready").json() == {"name": "press-line", "ready": True}


def test_the_inputs_of_a_windowed_model_are_windows(windowed: TestClient) -> None:
    metadata = windowed.get("/v2/models/windowed").json()
    assert metadata["inputs"][0]["shape"] == [-1, 3, 3]


def test_the_specified_request_gets_the_specified_answer(
    client: TestClient, press_line: Bundle
) -> None:
    body = request(NORMAL_ROW, [1, 3], "score", id="42")
    body["inputs"][0]["datatype"] = "FP32"
    answer = client.post(INFER, json=body)
    assert answer.json() == {
        "model_name": "press-line",
        "model_version": press_line.hash[:12],
        "id": "42",
        "outputs": [
            {
                "name": "score",
                "shape": [1],
                "datatype": "FP64",
                "data": [own_score(client, NORMAL_ROW)],
            }
        ],
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-name"] == "press-line"


def test_a_version_can_be_asked_for(client: TestClient, press_line: Bundle) -> None:
    path = f"{MODEL}/versions/{press_line.hash[:12]}/infer"
    assert client.post(path, json=request(NORMAL_ROW, [1, 3])).status_code == 200


def test_without_outputs_in_the_request_all_are_answered(client: TestClient) -> None:
    rows = [*NORMAL_ROW, *ANOMALOUS_ROW]
    answer = client.post(INFER, json=request(rows, [2, 3])).json()
    assert "id" not in answer
    assert [(one["name"], one["shape"]) for one in answer["outputs"]] == [
        ("score", [2]),
        ("status", [2]),
        ("p_value", [2]),
        ("contributions", [2, 3]),
    ]
    status = answer["outputs"][1]
    assert (status["datatype"], status["data"]) == ("BYTES", ["normal", "anomaly"])
    contributions = np.reshape(answer["outputs"][3]["data"], (2, 3))
    assert contributions.sum(axis=1) == pytest.approx(answer["outputs"][0]["data"])


def test_every_output_is_what_the_service_itself_says(client: TestClient) -> None:
    full = client.post("/anomaly?detail=full", json={"values": ANOMALOUS_ROW}).json()
    outputs = outputs_of(client.post(INFER, json=request(ANOMALOUS_ROW, [1, 3])))
    assert outputs["score"] == close([full["score"]])
    assert outputs["status"] == [full["status"]]
    assert outputs["p_value"] == [full["p_value"]]
    parts = [one["share"] * full["score"] for one in full["contributions"].values()]
    assert outputs["contributions"] == pytest.approx(parts)


@pytest.mark.parametrize("outputs", [["status"], ["p_value", "score"], ["contributions", "status"]])
def test_the_outputs_asked_for_are_answered_in_that_order(
    client: TestClient, outputs: list[str]
) -> None:
    answer = client.post(INFER, json=request(NORMAL_ROW * 2, [2, 3], *outputs))
    assert list(outputs_of(answer)) == outputs


@pytest.mark.parametrize("data", [[*NORMAL_ROW, *ANOMALOUS_ROW], [NORMAL_ROW, ANOMALOUS_ROW]])
def test_data_may_be_flat_or_nested(client: TestClient, data: Any) -> None:
    outputs = outputs_of(client.post(INFER, json=request(data, [2, 3])))
    assert outputs["score"] == close(
        [own_score(client, row) for row in (NORMAL_ROW, ANOMALOUS_ROW)]
    )


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT64", "UINT16"])
def test_every_datatype_of_numbers_is_read(client: TestClient, datatype: str) -> None:
    body = {"inputs": [tensor([1, 2, 3], [1, 3], datatype)]}
    assert outputs_of(client.post(INFER, json=body))["score"] == close(
        [own_score(client, [1, 2, 3])]
    )


def test_a_model_of_single_rows_takes_windows_of_one(client: TestClient) -> None:
    outputs = outputs_of(client.post(INFER, json=request([[NORMAL_ROW]], [1, 1, 3])))
    assert outputs["score"] == close([own_score(client, NORMAL_ROW)])


def test_a_windowed_model_takes_windows_that_need_not_follow_each_other(
    windowed: TestClient,
) -> None:
    data = [[NORMAL_ROW] * 3, [NORMAL_ROW, NORMAL_ROW, ANOMALOUS_ROW]]
    path = "/v2/models/windowed/infer"
    brief = outputs_of(windowed.post(path, json=request(data, [2, 3, 3], "score", "status")))
    every = outputs_of(windowed.post(path, json=request(data, [2, 3, 3])))
    own = [windowed.post("/anomaly", json={"values": window}).json() for window in data]
    for outputs in (brief, every):
        assert outputs["score"] == close([one["score"] for one in own])
        assert outputs["status"] == ["normal", "anomaly"]


def test_rows_for_a_windowed_model_are_refused_with_the_shape_needed(windowed: TestClient) -> None:
    answer = windowed.post("/v2/models/windowed/infer", json=request(NORMAL_ROW * 6, [6, 3]))
    assert "is [6, 3]; [B, 3, 3] is needed" in error_of(answer)


def test_one_tensor_for_each_sensor_is_read_too(client: TestClient) -> None:
    columns = {"sound": [1.1, 3], "vibration": [1.2, 1], "current": [0.9, 2]}
    for shape in ([2], [2, 1]):
        inputs = [
            {"name": name, "shape": shape, "datatype": "FP64", "data": data}
            for name, data in columns.items()
        ]
        outputs = outputs_of(client.post(INFER, json={"inputs": inputs}))
        assert outputs["score"] == close(
            [own_score(client, row) for row in (NORMAL_ROW, ANOMALOUS_ROW)]
        )


def test_a_windowed_model_takes_a_tensor_for_each_sensor(windowed: TestClient) -> None:
    window = [NORMAL_ROW, [1.3, 1.0, 1.2], ANOMALOUS_ROW]
    inputs = [
        {"name": name, "shape": [1, 3], "datatype": "FP64", "data": [list(column)]}
        for name, column in zip(
            ("vibration", "current", "sound"), zip(*window, strict=True), strict=True
        )
    ]
    outputs = outputs_of(windowed.post("/v2/models/windowed/infer", json={"inputs": inputs}))
    assert outputs["score"] == close([own_score(windowed, window)])


@pytest.mark.parametrize("missing", [b"null", b"NaN"])
def test_null_and_nan_are_missing_values(filling: TestClient, missing: bytes) -> None:
    body = json.dumps(request([1.2, 77, 1.1], [1, 3], "score")).encode().replace(b"77", missing)
    outputs = outputs_of(filling.post("/v2/models/filling/infer", content=body))
    assert outputs["score"] == close([own_score(filling, [1.2, None, 1.1])])


def test_more_missing_values_than_allowed_are_refused(filling: TestClient) -> None:
    answer = filling.post("/v2/models/filling/infer", json=request([None, 1, None], [1, 3]))
    assert "row 0: 2 of 3 values are missing; at most 1 may be" in error_of(answer)


def test_a_value_beyond_its_instrument_is_scored_and_an_anomaly(client: TestClient) -> None:
    outputs = outputs_of(client.post(INFER, json=request([1e300, -5, 1.1], [1, 3])))
    assert outputs["status"] == ["anomaly"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/models/other", "model 'other' is not served here; 'press-line' is"),
        ("/v2/models/other/ready", "model 'other' is not served here"),
        (f"{MODEL}/versions/99", "version '99' of 'press-line' is not served now"),
        (f"{MODEL}/versions/99/ready", "version '99' of 'press-line' is not served now"),
        ("/v2/repository/index", "there is nothing at '/v2/repository/index'"),
    ],
)
def test_what_is_not_served_is_not_found(client: TestClient, path: str, said: str) -> None:
    assert said in error_of(client.get(path), 404)


@pytest.mark.parametrize("path", ["/v2/models/other/infer", f"{MODEL}/versions/99/infer"])
def test_nothing_is_scored_by_another_model(client: TestClient, path: str) -> None:
    error_of(client.post(path, json=request(NORMAL_ROW, [1, 3])), 404)


def test_without_a_model_the_server_lives_and_is_not_ready(nothing: TestClient) -> None:
    assert nothing.get("/v2/health/live").status_code == 200
    assert nothing.get("/v2").status_code == 200
    ready = nothing.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    for answer in (
        nothing.get("/v2/models/press-line"),
        nothing.get("/v2/models/press-line/ready"),
        nothing.post(INFER, json=request(NORMAL_ROW, [1, 3])),
    ):
        assert "no model is ready" in error_of(answer, 503)
        assert answer.headers["retry-after"] == "2"


def changed(**changes: Any) -> dict[str, Any]:
    return {"inputs": [tensor(NORMAL_ROW, [1, 3]) | changes]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `inputs`"),
        ({"inputs": []}, "the inputs are none; one named 'values' is needed"),
        ({"inputs": 3}, "Expected `array`, got `int` - at `$.inputs`"),
        (changed(name="input-0"), "the inputs are 'input-0'; one named 'values' is needed, or one"),
        ({"inputs": changed()["inputs"] * 2}, "the inputs are 'values', 'values'"),
        (changed(shape=[3]), "shape of input 'values' is [3]; [B, 3] is needed"),
        (changed(shape=[1, 2]), "shape of input 'values' is [1, 2]; [B, 3] is needed"),
        (changed(shape=[]), "shape of input 'values' is []"),
        (changed(shape=[-1, 3]), "Expected `int` >= 0"),
        (changed(shape=[1.5, 3]), "Expected `int`, got `float`"),
        (changed(shape=[0, 3], data=[]), "nothing is to be scored"),
        (changed(shape=[10**30, 3]), "has 3 values; its shape"),
        (changed(shape=[1] * 100_000), "shape of input 'values' is [1, 1, 1"),
        (changed(datatype="BOOL"), "datatype of input 'values' is 'BOOL'; a sensor's values are"),
        (changed(datatype="BYTES"), "one of FP16, FP32, FP64, INT8"),
        (changed(datatype="fp32"), "datatype of input 'values' is 'fp32'"),
        (changed(datatype="INT32"), "input 'values' is INT32 and has 1.2"),
        (changed(data=None), "data of input 'values' is null; a list of numbers is needed"),
        (changed(data={"a": 1}), "data of input 'values' is an object"),
        (changed(data=[1, 2]), "data of input 'values' has 2 values; its shape [1, 3] has 3"),
        (changed(data=[[1, 2], [3]]), "is not nested as its shape [1, 3] is"),
        (changed(data=[[[1, 2, 3]]]), "is not nested as its shape [1, 3] is"),
        (changed(data=[[], [], []]), "is not nested as its shape [1, 3] is"),
        (changed(data=[1, [2], 3]), "row 0: sensor 'current' is a list of 1; a number in A"),
        (changed(data=[1, "2", 3]), "row 0: sensor 'current' is '2'; a number in A is needed"),
        (changed(data=[1, True, 3]), "row 0: sensor 'current' is true; a number in A is needed"),
        (changed(data=[1, None, 3]), "row 0: sensor 'current' is missing; a number in A"),
        (changed(data=[1, 10**400, 3]), "row 0: sensor 'current' is Infinity; a number in A"),
        (changed() | {"id": 42}, "Expected `str | null`, got `int` - at `$.id`"),
        (changed() | {"id": "\ud800"}, "half of a surrogate pair"),
        (changed() | {"outputs": [{"name": "score"}] * 2}, "output 'score' is asked for twice"),
        (changed() | {"outputs": [{"name": "scores"}]}, "output 'scores' is unknown; there are"),
        (changed() | {"outputs": [{"name": "\ud800"}]}, "is unknown; there are"),
        (changed() | {"parameters": 1}, "Expected `object`, got `int` - at `$.parameters`"),
        (
            changed(parameters={"shared_memory_region": "r"}),
            "'values' asks for shared_memory_region, which is not supported here",
        ),
        (
            changed() | {"outputs": [{"name": "score", "parameters": {"classification": 2}}]},
            "'score' asks for classification, which is not supported here",
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_said(client: TestClient, body: Any, said: str) -> None:
    assert said in error_of(client.post(INFER, content=json.dumps(body)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"{", "the body is not JSON"),
        (b"\xff\xff{}", "the body is not"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": [], "inputs": []}', "'inputs' occurs twice in one object"),
    ],
)
def test_what_is_no_json_is_refused(client: TestClient, body: bytes, said: str) -> None:
    assert said in error_of(client.post(INFER, content=body))


def test_every_wrong_value_is_named(client: TestClient) -> None:
    error = error_of(client.post(INFER, json=request([1, "x", 3, 4, 5, "y"], [2, 3])))
    assert "row 0: sensor 'current' is 'x'" in error
    assert "row 1: sensor 'sound' is 'y'" in error


def test_errors_of_every_kind_are_of_the_protocol(
    press_line: Bundle, make_client: Callable[..., TestClient]
) -> None:
    client = make_client(press_line.folder, max_body_bytes=1024)
    assert "1024 bytes" in error_of(client.post(INFER, content=b" " * 2000), 413)
    headers = {"Content-Type": "text/csv"}
    assert "text/csv" in error_of(client.post(INFER, content=b"x", headers=headers), 415)
    answer = client.get(INFER)
    assert "GET is not answered here" in error_of(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_many_rows_are_scored_like_one(client: TestClient) -> None:
    rows = np.random.default_rng(0).normal(1, 0.1, (5000, 3)).tolist()
    outputs = outputs_of(client.post(INFER, json=request(rows, [5000, 3], "score")))
    batch = client.post("/anomaly/batch", json={"instances": rows}).json()
    assert outputs["score"] == close(batch["scores"])


def test_the_example_in_the_documentation_is_answered(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    view = schemas["InputView"]["properties"]
    names = ("name", "shape", "datatype", "data")
    example = {name: view[name]["examples"][0] for name in names}
    assert outputs_of(client.post(INFER, json={"inputs": [example]}))["status"] == ["normal"]


def test_a_model_name_may_need_quoting(tmp_path: Path, make_client: Callable[..., Any]) -> None:
    from tests.bundles import press_line_bundle

    client = make_client(press_line_bundle(tmp_path / "プレス 1").folder)
    answer = client.post("/v2/models/プレス 1/infer", json=request(NORMAL_ROW, [1, 3]))
    assert answer.json()["model_name"] == "プレス 1"
