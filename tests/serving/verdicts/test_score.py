import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi import FastAPI
from onnx import TensorProto, helper, numpy_helper
from starlette.testclient import TestClient
from starlette.types import Message

from kizashi.runtime.bundle import Bundle, save_bundle
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.thresholds import ConformalThreshold
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, PRESS_LINE, press_line_bundle
from tests.serving.conftest import MakeClient

JSON = {"Content-Type": "application/json"}


def test_a_normal_row_is_answered_with_score_and_status_only(client: TestClient) -> None:
    answer = client.post("/anomaly", json={"values": NORMAL_ROW})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"score", "status"}
    assert isinstance(answer.json()["score"], float)
    assert answer.json()["status"] == "normal"


def test_the_row_1_2_3_is_an_anomaly(client: TestClient) -> None:
    answer = client.post("/anomaly", json={"values": [1, 2, 3]})
    assert answer.status_code == 200
    assert answer.json()["status"] == "anomaly"


def test_the_answer_is_the_detectors_own(client: TestClient, press_line: Bundle) -> None:
    window_BTF = np.array([[ANOMALOUS_ROW]])
    answer = client.post("/anomaly", json={"values": ANOMALOUS_ROW})
    assert answer.json()["score"] == press_line.detector.score(window_BTF)[0]


def test_values_may_be_keyed_by_sensor_in_any_order(client: TestClient) -> None:
    keyed = {"sound": 3.0, "vibration": 1.0, "current": 2.0}
    answer = client.post("/anomaly", json={"values": keyed})
    assert answer.json() == client.post("/anomaly", json={"values": ANOMALOUS_ROW}).json()


def test_the_headers_name_the_model_and_the_request(client: TestClient, press_line: Bundle) -> None:
    headers = client.post(
        "/anomaly", json={"values": NORMAL_ROW}, headers={"X-Request-ID": "press-01/42"}
    ).headers
    assert headers["X-Model-Name"] == "press-line"
    assert headers["X-Model-Version"] == press_line.hash[:12]
    assert headers["X-Request-ID"] == "press-01/42"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<script>"])
def test_a_request_id_that_is_not_sane_is_replaced(client: TestClient, sent: str) -> None:
    answer = client.post("/anomaly", json={"values": NORMAL_ROW}, headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] != sent
    assert len(answer.headers["X-Request-ID"]) == 32


def test_a_model_name_that_is_not_ascii_still_makes_a_header(
    tmp_path: Path, make_client: MakeClient
) -> None:
    press_line_bundle(tmp_path / "プレス")
    answer = make_client(tmp_path / "プレス").post("/anomaly", json={"values": NORMAL_ROW})
    assert answer.headers["X-Model-Name"] == "%E3%83%97%E3%83%AC%E3%82%B9"


def test_full_detail_says_everything(client: TestClient, press_line: Bundle) -> None:
    sent = {"values": ANOMALOUS_ROW, "source": "press-01", "timestamp": "2026-01-31T08:00:00+09:00"}
    answer = client.post("/anomaly?detail=full", json=sent).json()
    assert set(answer) == {
        *("score", "status", "threshold", "p_value", "severity", "contributions"),
        *("data_quality", "model", "source", "timestamp", "override"),
    }
    assert answer["threshold"] == press_line.detector.threshold.value
    assert answer["source"] == "press-01"
    assert answer["timestamp"] == "2026-01-31T08:00:00+09:00"
    assert answer["model"] == {
        "name": "press-line",
        "version": press_line.hash[:12],
        "bundle": press_line.hash,
    }
    contributions = answer["contributions"]
    assert list(contributions) == ["vibration", "current", "sound"]
    assert set(contributions["current"]) == {"share", "value", "expected", "unit"}
    assert contributions["current"]["value"] == 2.0
    assert contributions["current"]["unit"] == "A"
    assert sum(one["share"] for one in contributions.values()) == pytest.approx(1)
    assert answer["data_quality"] == []


def test_full_detail_agrees_with_the_brief_answer(client: TestClient) -> None:
    full = client.post("/anomaly?detail=full", json={"values": ANOMALOUS_ROW}).json()
    brief = client.post("/anomaly?detail=brief", json={"values": ANOMALOUS_ROW}).json()
    assert {key: full[key] for key in brief} == brief


def test_a_value_beyond_its_instruments_limits_is_scored_and_flagged(client: TestClient) -> None:
    answer = client.post("/anomaly?detail=full", json={"values": [1.2, 0.9, 20.5]})
    assert answer.status_code == 200
    assert answer.json()["status"] == "anomaly"
    assert answer.json()["data_quality"] == [
        {
            "kind": "out_of_range",
            "sensor": "sound",
            "value": 20.5,
            "low": 0.0,
            "high": 20.0,
            "detail": "sound is 20.5 Pa, above 20 Pa, its instrument's limit",
        }
    ]


@pytest.mark.parametrize("extreme", [1e300, -1e300, 5e-324])
def test_every_finite_row_gets_a_finite_score(client: TestClient, extreme: float) -> None:
    answer = client.post("/anomaly?detail=full", json={"values": [extreme, 0.9, 1.1]})
    assert answer.status_code == 200
    assert math.isfinite(answer.json()["score"])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"values":[1,2]}', 422, "2 values came; 3 values (vibration, current, sound) needed"),
        (b'{"values":[]}', 422, "0 values came; 3 values (vibration, current, sound) needed"),
        (b'{"values":[1,2,"x"]}', 422, "sensor 'sound' is 'x'; a number in Pa is needed"),
        (b'{"values":[1,2,null]}', 422, "sensor 'sound' is null; a number in Pa is needed"),
        (b'{"values":[1,2,true]}', 422, "sensor 'sound' is true; a number in Pa is needed"),
        (b'{"values":[1,2,NaN]}', 422, "sensor 'sound' is NaN; a number in Pa is needed"),
        (
            b'{"values":[1,2,-Infinity]}',
            422,
            "sensor 'sound' is -Infinity; a number in Pa",
        ),
        (b'{"values":[1,2,1e400]}', 422, "sensor 'sound' is Infinity; a number in Pa is needed"),
        (b'{"values":[1,2,%s]}' % (b"9" * 5000), 422, "sensor 'sound' is Infinity"),
        (b'{"values":[1,2,%s]}' % (b"9" * 399), 422, "sensor 'sound' is 999"),
        (b'{"values":[[1,2,3],[1,2,3]]}', 422, "this model judges windows of 1 row"),
        (b'{"values":{"vibration":1,"current":2}}', 422, "sensor 'sound' is missing"),
        (b'{"values":{"vibration":1,"current":2,"sound":3,"heat":4}}', 422, "'heat' is unknown"),
        (b'{"values":{"vibration":1,"vibration":2}}', 422, "'vibration' occurs twice"),
        (b'{"values":[1,2,3],"values":[1,2,3]}', 422, "'values' occurs twice"),
        (b'{"values":[1,2,3],"\\u0076alues":[1,2,3]}', 422, "'values' occurs twice"),
        (b'{"values":[1,2,3],"source":"a","source":"b"}', 422, "'source' occurs twice"),
        (b'{"values":[1,2,3],"timestamp":null,"timestamp":null}', 422, "'timestamp' occurs twice"),
        (b'{"values":[1,[2],3]}', 422, "sensor 'current' is a list of 1; a number in A is needed"),
        (b'{"values":5}', 422, "values is 5; a list of 3 values"),
        (b'{"rows":[1,2,3]}', 422, "'rows' is unknown; values, source, timestamp are known"),
        (b'{"values":[1,2,3],"timestmp":"x"}', 422, "'timestmp' is unknown"),
        (b'{"values":[1,2,3],"source":5}', 422, "source is 5; a text is needed"),
        (b'{"values":[1,2,3],"source":""}', 422, "1 to 200 printable characters are needed"),
        (b'{"values":[1,2,3],"source":"a\\nb"}', 422, "1 to 200 printable characters are needed"),
        (b'{"values":[1,2,3],"source":"\\ud800"}', 422, "1 to 200 printable characters are needed"),
        (b'{"values":[1,2,3],"timestamp":"2026-01-31T08:00:00"}', 422, "RFC 3339 with its zone"),
        (b'{"values":[1,2,3],"timestamp":"noon"}', 422, "RFC 3339 with its zone"),
        (b'{"values":{"\\ud800":1}}', 422, "sensor 'vibration' is missing"),
        (b"{}", 422, "'values' is missing"),
        (b"[1,2,3]", 422, "the body is not an object"),
        (b"null", 422, "the body is not an object"),
        (b"", 400, "the body is empty; JSON is needed"),
        (b"{", 400, "the body is not JSON"),
        (b'{"values":[1,2,3]} x', 400, "the body is not JSON"),
        (b"values=1,2,3", 400, "the body is not JSON"),
        (b'{"values":"\xff"}', 400, "the body is not utf-8 (byte 11)"),
        (b'{"values":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nested too deeply"),
        (b'{"values":[1,2,3],"source":"' + b"x" * 2**20 + b'"}', 413, "larger than the 1048576"),
    ],
)
def test_bad_input_is_refused_and_named(
    client: TestClient, body: bytes, status: int, said: str
) -> None:
    answer = client.post("/anomaly", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = json.loads(answer.content)
    assert said in document["detail"]
    assert document["status"] == status
    assert document["request_id"] == answer.headers["X-Request-ID"]
    assert ("errors" in document) == (status == 422)


def test_each_wrong_thing_is_a_problem_of_its_own(client: TestClient) -> None:
    answer = client.post("/anomaly", json={"values": ["a", None, 1.1]})
    assert answer.json()["errors"] == [
        {
            "detail": "sensor 'vibration' is 'a'; a number in mm/s is needed",
            "sensor": "vibration",
            "row": None,
        },
        {
            "detail": "sensor 'current' is null; a number in A is needed",
            "sensor": "current",
            "row": None,
        },
    ]


@pytest.mark.parametrize(
    ("query", "body", "wrong"),
    [
        (
            "",
            {"values": [1.2, "x", 1.1], "source": ""},
            ["'current' is 'x'", "source is ''"],
        ),
        (
            "",
            {"values": ["x", 0.9, 1.1], "timestamp": "noon", "heat": 1},
            ["'heat' is unknown", "timestamp is 'noon'", "sensor 'vibration' is 'x'"],
        ),
        (
            "",
            {"values": {"vibration": "x", "current": 0.9, "heat": 1}},
            ["'sound' is missing", "'heat' is unknown", "sensor 'vibration' is 'x'"],
        ),
        (
            "?detail=wrong&prototypes=9&keep=perhaps",
            {"values": [1.2, 0.9]},
            ["detail is 'wrong'", "prototypes is '9'", "keep is 'perhaps'", "2 values came"],
        ),
        ("?detail=wrong", [], ["detail is 'wrong'", "the body is not an object"]),
        (
            "",
            {"source": 7, "timestamp": "noon"},
            ["'values' is missing", "source is 7", "'noon'"],
        ),
    ],
)
def test_wrong_things_of_different_kinds_are_all_told_at_once(
    client: TestClient, query: str, body: object, wrong: list[str]
) -> None:
    answer = client.post(f"/anomaly{query}", json=body)
    assert answer.status_code == 422
    told = [one["detail"] for one in answer.json()["errors"]]
    assert len(told) == len(wrong)
    assert all(any(part in one for one in told) for part in wrong)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "Application/JSON"}, 200),
        ({"Content-Type": "text/csv"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (JSON | {"Content-Encoding": "gzip"}, 415),
    ],
)
def test_other_media_types_are_refused(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/anomaly", content=b'{"values":[1,2,3]}', headers=headers)
    assert answer.status_code == status


def test_texts_that_look_like_names_are_no_names_that_occur_twice(client: TestClient) -> None:
    sent = {"values": NORMAL_ROW, "source": "source", "timestamp": None}
    assert client.post("/anomaly", json=sent).status_code == 200
    assert client.post("/anomaly", json={"values": NORMAL_ROW, "source": "a\\{"}).status_code == 200


def test_a_client_that_hangs_up_is_no_failure_of_the_service(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    came: list[Message] = [
        {"type": "http.request", "body": b'{"values"', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return came.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/anomaly",
        "raw_path": b"/anomaly",
        "query_string": b"",
        "headers": [],
    }
    asyncio.run(make_app(press_line.folder)(scope, receive, send))
    assert (came, sent) == ([], [])


def test_a_body_without_a_media_type_is_read_as_json(client: TestClient) -> None:
    assert client.post("/anomaly", content=b'{"values":[1,2,3]}').status_code == 200


def test_a_body_that_comes_in_pieces_is_put_together_and_measured(client: TestClient) -> None:
    pieces = [b'{"values"', b":[1,2", b",3]}"]
    assert client.post("/anomaly", content=iter(pieces), headers=JSON).status_code == 200
    endless = iter([b" " * 2**16] * 32)
    assert client.post("/anomaly", content=endless, headers=JSON).status_code == 413


def test_an_unknown_level_of_detail_is_refused(client: TestClient) -> None:
    answer = client.post("/anomaly?detail=ful", json={"values": NORMAL_ROW})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "detail is 'ful'; 'full' or 'brief' is needed"


def test_a_windowed_model_takes_a_list_of_rows(tmp_path: Path, make_client: MakeClient) -> None:
    press_line_bundle(tmp_path / "windowed", window_length=3)
    client = make_client(tmp_path / "windowed")
    normal = client.post("/anomaly", json={"values": [NORMAL_ROW] * 3})
    assert normal.json()["status"] == "normal"
    keyed = dict(zip(("vibration", "current", "sound"), NORMAL_ROW, strict=True))
    assert client.post("/anomaly", json={"values": [keyed] * 3}).json() == normal.json()
    window = [NORMAL_ROW, NORMAL_ROW, ANOMALOUS_ROW]
    full = client.post("/anomaly?detail=full", json={"values": window}).json()
    assert full["contributions"]["sound"]["value"] == ANOMALOUS_ROW[2]
    one = client.post("/anomaly", json={"values": NORMAL_ROW})
    assert one.status_code == 422
    assert "windows of 3 rows" in one.json()["detail"]


def root_network() -> bytes:
    """Rebuilds x as sqrt(x + 3): a number near the normal rows, NaN far below them."""
    shape: list[str | int | None] = ["B", "T", 3]
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["windows", "three"], ["shifted"]),
            helper.make_node("Sqrt", ["shifted"], ["one"]),
            helper.make_node("Unsqueeze", ["one", "first"], ["rebuilt"]),
        ],
        "root",
        [helper.make_tensor_value_info("windows", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("rebuilt", TensorProto.FLOAT, [1, *shape])],
        [
            numpy_helper.from_array(np.array(3, dtype=np.float32), "three"),
            numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_a_score_that_is_no_number_never_passes_for_normal(
    press_line: Bundle, tmp_path: Path, make_client: MakeClient
) -> None:
    scores = np.linspace(0, 3, 200)
    detector = Detector(
        contract=DataContract(PRESS_LINE),
        scaler=press_line.detector.scaler,
        network=OnnxNetwork(root_network()),
        scorer=press_line.detector.scorer,
        calibration=Calibration(scores),
        threshold=ConformalThreshold(0.01).fit(scores),
    )
    save_bundle(detector, root_network(), np.array([NORMAL_ROW]), tmp_path / "root")
    client = make_client(tmp_path / "root")
    assert client.post("/anomaly", json={"values": NORMAL_ROW}).status_code == 200
    for path, body in [
        ("/anomaly", {"values": [-9, -9, -9]}),
        ("/anomaly?detail=full", {"values": [-9, -9, -9]}),
        ("/anomaly/batch", {"instances": [NORMAL_ROW, [-9, -9, -9]]}),
    ]:
        answer = client.post(path, json=body)
        assert answer.status_code == 500
        assert answer.json()["detail"] == "the model scored nan; a finite number is needed"


def test_without_a_model_the_answer_is_503_and_says_when_to_ask_again(
    tmp_path: Path, make_client: MakeClient
) -> None:
    for path in ("/anomaly", "/anomaly/batch"):
        answer = make_client(tmp_path / "nothing").post(path, json={"values": NORMAL_ROW})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"
        assert "manifest.json cannot be read" in answer.json()["detail"]


def test_the_model_is_swapped_between_two_requests(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder)
    client = TestClient(app)
    assert client.post("/anomaly", json={"values": NORMAL_ROW}).status_code == 200
    other = press_line_bundle(press_line.folder.with_name("other"), seed=1)
    app.state.detectors.cache.adopt(
        other.folder, name="other", version="2", source="elsewhere", tags={}
    )
    app.state.detectors.refresh()
    answer = client.post("/anomaly?detail=full", json={"values": NORMAL_ROW})
    assert answer.headers["X-Model-Name"] == "other"
    assert answer.json()["model"] == {"name": "other", "version": "2", "bundle": other.hash}
