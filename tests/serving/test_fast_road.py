"""The fast road beside the application: `access_log` has every request pass all layers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from serving.fast_road import FastRoad
from serving.history.record import Row
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.metrics.families import REQUESTS, VERDICTS
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle

MakeClient = Callable[..., TestClient]
JSON = {"Content-Type": "application/json"}
ROW = {"values": NORMAL_ROW}
BODIES: dict[str, str | bytes] = {
    "normal": json.dumps(ROW),
    "whole numbers": '{"values": [1, 1, 1]}',
    "anomalous": json.dumps({"values": ANOMALOUS_ROW}),
    "beyond the instrument": '{"values": [1e6, 0.9, 1.1]}',
    "beyond a float": '{"values": [1e400, 0.9, 1.1]}',
    "beyond a square": '{"values": [1e200, 0.9, 1.1]}',
    "a huge whole number": '{"values": [%s, 0.9, 1.1]}' % ("9" * 400),
    "minus zero": '{"values": [-0.0, 0.9, 1.1]}',
    "missing": '{"values": [null, 0.9, 1.1]}',
    "a text": '{"values": ["1.2", 0.9, 1.1]}',
    "true": '{"values": [true, 0.9, 1.1]}',
    "by name": '{"values": {"vibration": 1.2, "current": 0.9, "sound": 1.1}}',
    "a window of one": '{"values": [[1.2, 0.9, 1.1]]}',
    "too few": '{"values": [1.2, 0.9]}',
    "none": '{"values": []}',
    "no values": "{}",
    "a source": json.dumps(ROW | {"source": "press-01"}),
    "a source that is empty": json.dumps(ROW | {"source": ""}),
    "a source of control characters": json.dumps(ROW | {"source": "a\nb"}),
    "a time": json.dumps(ROW | {"timestamp": "2026-01-31T08:00:00+09:00"}),
    "a time without its zone": json.dumps(ROW | {"timestamp": "2026-01-31T08:00:00"}),
    "an unknown name": json.dumps(ROW | {"sauce": "press-01"}),
    "a name twice": '{"values": [1.2, 0.9, 1.1], "source": "a", "source": "b"}',
    "a name twice, escaped": '{"values": [1.2, 0.9, 1.1], "v\\u0061lues": [9, 9, 9]}',
    "not JSON": '{"values": [1.2, 0.9, 1.1',
    "bad UTF-8": b'{"values": [1.2, 0.9, 1.1], "source": "\xff"}',
    "nothing": "",
    "deep": "[" * 100_000,
}
HEADS: dict[str, dict[str, str]] = {
    "plain": JSON,
    "no type": {"Content-Type": ""},
    "another type": {"Content-Type": "text/plain"},
    "a charset": {"Content-Type": "application/json; charset=utf-8"},
    "compressed": JSON | {"Content-Encoding": "gzip"},
    "another site": JSON | {"Origin": "http://elsewhere.example"},
    "its own page": JSON | {"Sec-Fetch-Site": "same-origin"},
    "an id": JSON | {"X-Request-ID": "line-3:17"},
    "an id that is not sane": JSON | {"X-Request-ID": "a b"},
}


@pytest.fixture
def both(press_line: Bundle, make_client: MakeClient) -> tuple[TestClient, TestClient]:
    """The service with the fast road and without."""
    fast = make_client(press_line.folder, database_url="none")
    whole = make_client(press_line.folder, database_url="none", access_log=True)
    return fast, whole


def told(client: TestClient, body: str | bytes, head: dict[str, str], query: str = "") -> object:
    answer = client.post(f"/anomaly{query}", content=body, headers=head)
    document = answer.json()
    document.pop("request_id", None)
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    if answer.headers["x-request-id"] == head.get("X-Request-ID"):
        headers["x-request-id"] = answer.headers["x-request-id"]
    if "request_id" in answer.json():  # of another length only by what was sent
        headers.pop("content-length")
    return answer.status_code, document, headers


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body_is_answered_as_by_the_application(
    both: tuple[TestClient, TestClient], body: str | bytes
) -> None:
    fast, whole = both
    assert told(fast, body, JSON) == told(whole, body, JSON)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("query", ["", "?detail=full", "?detail=wrong"])
def test_any_head_is_answered_as_by_the_application(
    both: tuple[TestClient, TestClient], head: dict[str, str], query: str
) -> None:
    fast, whole = both
    assert told(fast, BODIES["normal"], head, query) == told(whole, BODIES["normal"], head, query)


def test_a_model_of_windows_is_asked_behind_the_layers(
    tmp_path: Path, make_client: MakeClient
) -> None:
    client = make_client(
        press_line_bundle(tmp_path / "windows", window_length=3).folder, database_url="none"
    )
    answer = client.post("/anomaly", json={"values": NORMAL_ROW})
    assert answer.status_code == 422
    assert "windows of" in answer.json()["detail"]


def test_what_is_normal_passes_no_layer_and_all_else_does(
    press_line: Bundle, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(press_line.folder, database_url="none")
    client.post("/anomaly", json=ROW)  # builds the layers
    layer = client.app.middleware_stack  # type: ignore[attr-defined]
    while not isinstance(layer, FastRoad):
        layer = layer.app
    passed: list[str] = []
    inner = layer.app

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(str(scope["path"]))
        await inner(scope, receive, send)

    monkeypatch.setattr(layer, "app", application)
    for row in (NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW):
        assert client.post("/anomaly", json={"values": row}).status_code == 200
    client.get("/health/live")
    assert passed == ["/anomaly", "/health/live"]


def test_each_request_and_each_verdict_counts_once_by_either_road(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, database_url="none")
    for row in (NORMAL_ROW, ANOMALOUS_ROW, [1.2, "a", 1.1]):
        client.post("/anomaly", json={"values": row, "source": "press-01"})
    counters = client.app.state.counts.snapshot().counters  # type: ignore[attr-defined]
    anomaly = [value for value in counters[REQUESTS.name] if value[0][1] == "/anomaly"]
    assert {labels[3]: count for labels, count in anomaly} == {"200": 2, "422": 1}
    assert sorted(count for _, count in counters[VERDICTS.name]) == [1, 1]


def test_each_verdict_is_kept_once_by_either_road(
    press_line: Bundle, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = make_client(press_line.folder, database_url=f"sqlite:///{tmp_path / 'history.db'}")
    kept: list[tuple[str | None, bool]] = []
    writer = client.app.state.history.observer.writer  # type: ignore[attr-defined]
    for name in ("put", "put_anomaly"):
        real = getattr(writer, name)

        def put(record: Row, real: Callable[..., None] = real, **how: bool) -> None:
            kept.append((record.origin.source, record.anomaly))
            real(record, **how)

        monkeypatch.setattr(writer, name, put)
    for row in (NORMAL_ROW, ANOMALOUS_ROW):
        client.post("/anomaly", json={"values": row, "source": "press-01"})
    assert kept == [("press-01", False), ("press-01", True)]


def test_a_request_that_takes_both_roads_counts_once_against_the_limit_of_its_key(
    press_line: Bundle, make_client: MakeClient, tmp_path: Path
) -> None:
    record, key = make_key("press", ["score"], limit=3)
    KeyFile(tmp_path / "keys.json").add(record)
    client = make_client(press_line.folder, database_url="none", keys_file=tmp_path / "keys.json")
    head = {"X-API-Key": key}
    found = [
        client.post("/anomaly", json={"values": row}, headers=head).status_code
        for row in (ANOMALOUS_ROW, NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW)
    ]
    assert found == [200, 200, 200, 429]


@pytest.mark.parametrize(("sent", "status"), [({}, 401), ({"X-API-Key": "kz_nobody_nothing"}, 401)])
def test_without_a_key_that_holds_nothing_is_judged(
    press_line: Bundle,
    make_client: MakeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: dict[str, str],
    status: int,
) -> None:
    record, _ = make_key("press", ["score"])
    KeyFile(tmp_path / "keys.json").add(record)
    client = make_client(press_line.folder, database_url="none", keys_file=tmp_path / "keys.json")
    judged: list[object] = []
    monkeypatch.setattr(Detector, "verdict", lambda _, window: judged.append(window))
    assert client.post("/anomaly", json=ROW, headers=sent).status_code == status
    assert judged == []


def test_an_error_that_nobody_foresaw_is_answered_by_the_application_for_each_request(
    press_line: Bundle, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the network broke")

    monkeypatch.setattr(Detector, "verdict", broken)
    client = make_client(press_line.folder, database_url="none")
    answer = client.post("/anomaly", json=ROW, headers={"X-Request-ID": "line-3:17"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "line-3:17"
    assert "broke" not in answer.text
