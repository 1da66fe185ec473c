"""MLflow's scoring protocol: the same requests to `mlflow models serve`'s own application."""

import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.pyfunc.scoring_server as scoring_server
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature
from starlette.testclient import TestClient

from kizashi.pyfunc import DetectorModel
from kizashi.runtime.bundle import Bundle
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.filling import filling_bundle

SENSORS = ["vibration", "current", "sound"]
ROWS: list[list[float]] = [NORMAL_ROW, ANOMALOUS_ROW, [1.3, 0.9, 1.1], [50, 0, 0]]
FRAME = pd.DataFrame(ROWS, columns=SENSORS)
RECORDS: list[Any] = FRAME.to_dict(orient="records")
COLUMNS = FRAME.to_dict(orient="list")
CSV = {"Content-Type": "text/csv"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}


def served_by_mlflow(bundle: Bundle, folder: Path) -> TestClient:
    """The application that `mlflow models serve` runs, over the same bundle."""
    example = pd.DataFrame(bundle.example, columns=SENSORS)
    predicted = DetectorModel(bundle.detector).predict(example)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*An input example was not provided")
        mlflow.pyfunc.save_model(
            folder,
            loader_module="kizashi.pyfunc",
            data_path=str(bundle.folder),
            signature=infer_signature(example, predicted),
            pip_requirements=[],
        )
    app = scoring_server.init(mlflow.pyfunc.load_model(str(folder)))
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    """MLflow's server says in the environment that it is one; that ends with these tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        yield


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory, environment: None) -> TestClient:
    folder = tmp_path_factory.mktemp("peer")
    return served_by_mlflow(press_line_bundle(folder / "press-line"), folder / "logged")


def predictions_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert list(content) == ["predictions"]
    predictions: list[dict[str, Any]] = content["predictions"]
    return predictions


def agree(ours: Any, theirs: Any) -> None:
    """Both answers say the same; where MLflow writes NaN, ours is null."""
    own, other = predictions_of(ours), predictions_of(theirs)
    assert len(own) == len(other)
    for one, peer in zip(own, other, strict=True):
        assert list(one) == list(peer) == ["score", "status"]
        if one["score"] is None:
            assert math.isnan(peer["score"]) and one["status"] is None
        else:
            assert one["score"] == pytest.approx(peer["score"], rel=1e-9)
            assert one["status"] == peer["status"]


def error_of(answer: Any, status: int = 400, code: str = "INVALID_PARAMETER_VALUE") -> str:
    assert answer.status_code == status, answer.text
    content = answer.json()
    assert list(content) == ["error_code", "message"]
    assert content["error_code"] == code
    return str(content["message"])


SPLIT = {"columns": SENSORS, "data": ROWS}
READ_BY_BOTH: dict[str, Any] = {
    "split": {"dataframe_split": SPLIT},
    "split as pandas writes it": {"dataframe_split": FRAME.to_dict(orient="split")},
    "split in another order": {
        "dataframe_split": {
            "columns": ["sound", "press", "vibration", "current"],
            "data": [[row[2], "A", row[0], row[1]] for row in ROWS],
        }
    },
    "split of whole numbers": {"dataframe_split": {"columns": SENSORS, "data": [[1, 2, 3]]}},
    "split without rows": {"dataframe_split": {"columns": SENSORS, "data": []}},
    "records": {"dataframe_records": RECORDS},
    "records with more": {"dataframe_records": [one | {"press": "A"} for one in RECORDS]},
    "instances by name": {"instances": RECORDS},
    "instances as columns": {"instances": COLUMNS},
    "inputs by column": {"inputs": COLUMNS},
    "inputs of one row": {"inputs": RECORDS[0]},
    "inputs by row": {"inputs": RECORDS},
    "params that are null": {"dataframe_split": SPLIT, "params": None},
    "other names": {"dataframe_split": SPLIT, "signature_name": "x"},
}


@pytest.mark.parametrize("name", READ_BY_BOTH)
def test_what_mlflow_reads_gets_the_same_predictions(
    client: TestClient, peer: TestClient, name: str
) -> None:
    body = READ_BY_BOTH[name]
    agree(client.post("/invocations", json=body), peer.post("/invocations", json=body))


@pytest.mark.parametrize(
    "text", [FRAME.to_csv(index=False), FRAME.to_csv(), FRAME[["sound", *SENSORS[:2]]].to_csv()]
)
def test_a_csv_that_mlflow_reads_gets_the_same_predictions(
    client: TestClient, peer: TestClient, text: str
) -> None:
    for headers in (CSV, {"Content-Type": "text/csv; charset=utf-8"}):
        sent: dict[str, Any] = {"content": text.encode(), "headers": headers}
        agree(client.post("/invocations", **sent), peer.post("/invocations", **sent))


def parquet(frame: pd.DataFrame) -> dict[str, Any]:
    file = io.BytesIO()
    frame.to_parquet(file)
    return {"content": file.getvalue(), "headers": PARQUET}


def test_a_parquet_file_gets_the_same_predictions(client: TestClient, peer: TestClient) -> None:
    for frame in (FRAME, FRAME[["sound", *SENSORS[:2]]].assign(press="A")):
        sent = parquet(frame)
        agree(client.post("/invocations", **sent), peer.post("/invocations", **sent))


def test_a_parquet_file_of_more_rows_than_can_be_answered_is_refused(client: TestClient) -> None:
    sent = parquet(pd.DataFrame({name: np.ones(1_400_000) for name in SENSORS}))
    assert len(sent["content"]) < 100_000
    error = error_of(client.post("/invocations", **sent), 413, "BAD_REQUEST")
    assert "more than the 4194304 values that are read at once" in error


def test_a_broken_parquet_file_is_a_bad_request(client: TestClient) -> None:
    sent = parquet(FRAME) | {"content": b"PAR1 and no more"}
    error_of(client.post("/invocations", **sent), code="BAD_REQUEST")


def test_a_windowed_model_gets_the_same_predictions(
    windowed: TestClient, tmp_path: Path, environment: None
) -> None:
    peer = served_by_mlflow(press_line_bundle(tmp_path / "w", window_length=3), tmp_path / "logged")
    body = {"dataframe_split": {"columns": SENSORS, "data": ROWS * 2}}
    ours = windowed.post("/invocations", json=body)
    agree(ours, peer.post("/invocations", json=body))
    assert predictions_of(ours)[:2] == [{"score": None, "status": None}] * 2


def test_missing_values_get_the_same_predictions(
    filling: TestClient, tmp_path: Path, environment: None
) -> None:
    peer = served_by_mlflow(filling_bundle(tmp_path / "f"), tmp_path / "logged")
    rows = [[1.2, None, 1.1], [None, 0.9, 1.1], NORMAL_ROW]
    body = {"dataframe_split": {"columns": SENSORS, "data": rows}}
    agree(filling.post("/invocations", json=body), peer.post("/invocations", json=body))
    lost = {"dataframe_records": [RECORDS[0], {"vibration": 1.2, "sound": 1.1}]}
    agree(filling.post("/invocations", json=lost), peer.post("/invocations", json=lost))
    text = b"vibration,current,sound\n1.2,,1.1\n1.2,NaN,1.1\n1.2,nan,1.1\n"
    nans = pa.table({"vibration": [1.2], "current": [math.nan], "sound": [1.1]})
    file = io.BytesIO()
    pq.write_table(nans, file)  # pandas would write null
    written: dict[str, Any] = {"content": file.getvalue(), "headers": PARQUET}
    for sent in ({"content": text, "headers": CSV}, written):
        agree(filling.post("/invocations", **sent), peer.post("/invocations", **sent))


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ROWS},
        {"inputs": ROWS},
        {"dataframe_split": {"data": ROWS}},
        {"instances": ROWS, "params": {"temperature": 1}},
        {"instances": [*ROWS[:2], *RECORDS[2:]]},
        {"inputs": [*RECORDS[:2], *ROWS[2:]]},
    ],
)
def test_rows_without_names_are_in_the_order_of_the_contract(
    client: TestClient, body: dict[str, Any]
) -> None:
    batch = client.post("/anomaly/batch", json={"instances": ROWS}).json()
    predictions = predictions_of(client.post("/invocations", json=body))
    assert [one["score"] for one in predictions] == batch["scores"]
    assert [one["status"] for one in predictions] == batch["statuses"]


REFUSED_BY_BOTH = [
    ({}, "exactly one of dataframe_split, dataframe_records, instances, inputs is needed"),
    ({"values": NORMAL_ROW}, "exactly one of"),
    ({"inputs": ROWS, "instances": ROWS}, "instances and inputs came"),
    ([NORMAL_ROW], "exactly one of"),
    ("text", "exactly one of"),
    ({"dataframe_split": ROWS}, "dataframe_split is a list of 4"),
    ({"dataframe_split": {"columns": SENSORS}}, "dataframe_split is an object"),
    ({"dataframe_split": SPLIT | {"dtype": "f"}}, "dataframe_split has 'dtype'"),
    ({"dataframe_split": SPLIT | {"columns": SENSORS[:2]}}, "sensor 'sound' has no column"),
    ({"dataframe_split": SPLIT | {"columns": 3}}, "columns is 3; a list of names is needed"),
    ({"dataframe_split": SPLIT | {"data": [[1, 2]]}}, "row 0: 2 values came"),
    ({"dataframe_records": RECORDS[0]}, "dataframe_records is an object; a list of rows"),
    ({"dataframe_records": [{"vibration": 1, "sound": 2}]}, "sensor 'current' is missing"),
    ({"instances": NORMAL_ROW}, "row 0: 1.2 came; 3 values (vibration, current, sound)"),
    ({"instances": 3}, "instances is 3; a list of rows is needed"),
    ({"inputs": {"vibration": [1.2]}}, "sensor 'current' is missing"),
    ({"inputs": COLUMNS | {"sound": [1]}}, "sensor 'sound' has 1 values; lists of one length"),
    ({"dataframe_split": SPLIT | {"data": [[1, "x", 3]]}}, "row 0: sensor 'current' is 'x'"),
    ({"dataframe_split": SPLIT | {"data": [[1, [2], 3]]}}, "sensor 'current' is a list of 1"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED_BY_BOTH)
def test_what_mlflow_refuses_is_refused(
    client: TestClient, peer: TestClient, body: Any, said: str
) -> None:
    assert said in error_of(client.post("/invocations", json=body))
    theirs = peer.post("/invocations", json=body)
    assert theirs.status_code == 400
    assert {"error_code", "message"} <= set(theirs.json())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"instances": [[1, "2", 3]]}, "row 0: sensor 'current' is '2'; a number in A is needed"),
        ({"instances": [[1, True, 3]]}, "row 0: sensor 'current' is true"),
        ({"instances": [[1, None, 3]]}, "row 0: sensor 'current' is missing"),
        ({"instances": [[1, 10**400, 3]]}, "row 0: sensor 'current' is Infinity"),
        ({"instances": [RECORDS[0], 3]}, "row 1: 3 came; 3 values"),
        ({"instances": [NORMAL_ROW, "x"]}, "row 1: 'x' came; 3 values"),
        ({"instances": ROWS, "params": [1]}, "params is a list of 1; an object is needed"),
        ({"inputs": COLUMNS | {"vibration": 1}}, "sensor 'vibration' has 1; lists of one length"),
        ({"dataframe_records": [RECORDS[0], 3]}, "a row that is no object keyed by sensor name"),
        ({"dataframe_split": SPLIT | {"columns": ["sound"] * 3}}, "has no column; one is needed"),
        ({"dataframe_split": SPLIT | {"columns": [*SENSORS, "sound"]}}, "'sound' has 2 columns"),
        ({"dataframe_split": {"data": [[1, 2]]}}, "row 0: 2 values came; 3 values"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(client: TestClient, body: Any, said: str) -> None:
    assert said in error_of(client.post("/invocations", content=json.dumps(body)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b'{"instances": [[1,', "the body is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"instances": "' + b"\xff" + b'"}', "the body is not utf-8"),
    ],
)
def test_what_is_no_json_is_a_bad_request(client: TestClient, body: bytes, said: str) -> None:
    assert said in error_of(client.post("/invocations", content=body), code="BAD_REQUEST")


def test_a_name_that_occurs_twice_is_refused(client: TestClient) -> None:
    body = b'{"instances": [], "instances": []}'
    assert "occurs twice" in error_of(client.post("/invocations", content=body))


def test_a_wrong_media_type_is_415(client: TestClient, peer: TestClient) -> None:
    sent: dict[str, Any] = {"content": b"x", "headers": {"Content-Type": "text/plain"}}
    error_of(client.post("/invocations", **sent), 415, "BAD_REQUEST")
    assert peer.post("/invocations", **sent).status_code == 415


def test_a_csv_in_another_encoding_is_read(client: TestClient) -> None:
    text = "時刻,vibration,current,sound\n八時,1.2,0.9,1.1\n"
    headers = {"Content-Type": "text/csv; charset=shift_jis"}
    answer = client.post("/invocations", content=text.encode("cp932"), headers=headers)
    assert [one["status"] for one in predictions_of(answer)] == ["normal"]


def test_ping_and_version_answer_as_mlflow_does(client: TestClient, peer: TestClient) -> None:
    for path in ("/ping", "/health", "/version"):
        ours, theirs = client.get(path), peer.get(path)
        assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", client.get("/version").text)


def test_the_services_own_health_is_not_hidden(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json()["status"] == "ready"


def test_without_a_model_ping_is_404_and_invocations_are_503(nothing: TestClient) -> None:
    for path in ("/ping", "/health"):
        assert nothing.get(path).status_code == 404
    assert nothing.get("/version").status_code == 200
    answer = nothing.post("/invocations", json={"instances": ROWS})
    assert "no model is ready" in error_of(answer, 503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "2"


def test_too_large_a_body_is_413(
    press_line: Bundle, make_client: Callable[..., TestClient]
) -> None:
    client = make_client(press_line.folder, max_body_bytes=1024)
    answer = client.post("/invocations", content=b" " * 2000)
    assert "1024 bytes" in error_of(answer, 413, "BAD_REQUEST")


def test_the_example_in_the_documentation_is_answered(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    example = schemas["Split"]["properties"]["dataframe_split"]["examples"][0]
    answer = client.post("/invocations", json={"dataframe_split": example})
    assert [one["status"] for one in predictions_of(answer)] == ["normal"]
