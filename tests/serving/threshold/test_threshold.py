"""A threshold set by hand, in a service without a history: its host's cache keeps it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.errors import Conflict
from serving.following.cache import Cache
from serving.following.detectors import Detectors, Served
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.threshold.change import Change
from serving.threshold.desk import Desk
from tests.bundles import ANOMALOUS_ROW, press_line_bundle
from tests.serving.conftest import MakeClient


@pytest.fixture
def client(press_line: Bundle, make_client: MakeClient) -> TestClient:
    return make_client(press_line.folder, database_url="none")


def set_to(client: TestClient, value: float, bundle: Bundle, comment: str = "too loud") -> Any:
    body = {"bundle": bundle.hash, "value": value, "comment": comment}
    return client.post("/api/threshold", json=body)


def worker(tmp_path: Path) -> tuple[Detectors, Desk]:
    """What one worker of a host has."""
    detectors = Detectors(Cache(tmp_path / "cache", "key"))
    detectors.refresh()
    return detectors, Desk(detectors, None, "models:/kizashi")


def adopt(tmp_path: Path, bundle: Bundle, version: str) -> None:
    cache = Cache(tmp_path / "cache", "key")
    cache.create()
    cache.adopt(bundle.folder, name="kizashi", version=version, source="here", tags={})


def held(detectors: Detectors) -> Served:
    served = detectors.refresh()
    assert served is not None
    return served


def test_at_first_the_calibrated_threshold_is_in_force(
    client: TestClient, press_line: Bundle
) -> None:
    now = client.get("/api/threshold").json()
    assert now["value"] == now["calibrated"] == press_line.detector.threshold.value
    assert now["override"] is None and now["changes"] == [] and now["shared"] is False


def test_a_threshold_set_by_hand_decides_and_is_shown_with_every_verdict(
    client: TestClient, press_line: Bundle
) -> None:
    row = {"values": ANOMALOUS_ROW}
    before = client.post("/anomaly?detail=full", json=row).json()
    assert before["status"] == "anomaly" and before["override"] is None
    assert set_to(client, 2 * before["score"], press_line).status_code == 200
    after = client.post("/anomaly?detail=full", json=row).json()
    assert after["status"] == "normal"
    assert client.post("/anomaly", json=row).json()["status"] == "normal"
    assert client.post("/anomaly/batch", json={"instances": [ANOMALOUS_ROW]}).json()[
        "statuses"
    ] == ["normal"]
    assert after["threshold"] == 2 * before["score"]
    assert after["override"]["calibrated"] == before["threshold"]
    assert (after["override"]["who"], after["override"]["why"]) == ("anonymous", "too loud")
    assert after["p_value"] == before["p_value"]


def test_every_answer_says_in_a_header_that_an_operators_threshold_is_in_force(
    client: TestClient, press_line: Bundle
) -> None:
    variables = [
        {"variable": name, "timestamps": ["2026-01-01T00:00:00Z"], "values": [value]}
        for name, value in zip(press_line.detector.contract.names, ANOMALOUS_ROW, strict=True)
    ]
    row = client.post("/anomaly", json={"values": ANOMALOUS_ROW})
    name = row.headers["X-Model-Name"]
    tensor = {"name": "values", "shape": [1, 3], "datatype": "FP32", "data": ANOMALOUS_ROW}
    asked: dict[str, Any] = {
        "/anomaly": {"values": ANOMALOUS_ROW},
        "/anomaly?detail=full": {"values": ANOMALOUS_ROW},
        "/anomaly/batch": {"instances": [ANOMALOUS_ROW]},
        "/invocations": {"instances": [ANOMALOUS_ROW]},
        f"/v2/models/{name}/infer": {"inputs": [tensor]},
        f"/anomalydetector/v1.1/multivariate/models/{name}:detect-last": {"variables": variables},
    }
    for value in (None, 3.5):
        if value is not None:
            set_to(client, value, press_line)
        for path, body in asked.items():
            answer = client.post(path, json=body)
            assert answer.status_code == 200, (path, answer.text)
            told = answer.headers.get("X-Threshold-Override")
            assert told == (None if value is None else "3.5"), path


def test_the_model_says_who_set_it_and_promises_nothing(
    client: TestClient, press_line: Bundle
) -> None:
    set_to(client, 3.5, press_line)
    told = client.get("/model").json()["threshold"]
    assert told["value"] == 3.5 and told["calibrated"] == press_line.detector.threshold.value
    assert told["rule"] == told["in_effect"] == "chosen"
    assert told["guarantee"] == "" and told["false_alarm_rate"] is None
    assert told["reason"] == "set by anonymous: too loud"


def test_undoing_brings_the_calibrated_one_back_and_both_are_on_record(
    client: TestClient, press_line: Bundle
) -> None:
    set_to(client, 3.5, press_line)
    set_to(client, 4.5, press_line, "still too loud")
    answer = client.delete("/api/threshold", params={"bundle": press_line.hash})
    assert answer.status_code == 200 and answer.json()["override"] is None
    assert answer.json()["value"] == press_line.detector.threshold.value
    steps = [(one["event"], one["value"], one["why"]) for one in answer.json()["changes"]]
    assert steps == [
        ("undone", None, ""),
        ("set", 4.5, "still too loud"),
        ("set", 3.5, "too loud"),
    ]
    assert len(client.delete("/api/threshold").json()["changes"]) == 3  # nothing more to undo


@pytest.mark.parametrize("value", [0, -1, "NaN", "Infinity", None, "high", 1e200])
def test_what_is_no_threshold_is_refused(
    client: TestClient, press_line: Bundle, value: object
) -> None:
    body = {"bundle": press_line.hash, "value": value, "comment": "why not"}
    answer = client.post("/api/threshold", json=body)
    assert answer.status_code == 422 and "value" in answer.json()["detail"]
    assert client.get("/api/threshold").json()["changes"] == []


def test_not_a_number_written_as_such_is_refused(client: TestClient, press_line: Bundle) -> None:
    body = f'{{"bundle": "{press_line.hash}", "value": NaN, "comment": "x"}}'
    headers = {"Content-Type": "application/json"}
    answer = client.post("/api/threshold", content=body, headers=headers)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("comment", ["", "   ", "x" * 2001])
def test_a_threshold_needs_a_reason(client: TestClient, press_line: Bundle, comment: str) -> None:
    assert set_to(client, 3.5, press_line, comment).status_code == 422


def test_a_threshold_for_another_bundle_than_the_served_one_is_refused(
    client: TestClient, press_line: Bundle
) -> None:
    body = {"bundle": "0" * 64, "value": 3.5, "comment": "x"}
    answer = client.post("/api/threshold", json=body)
    assert answer.status_code == 409
    assert press_line.hash[:12] in answer.json()["detail"]
    undone = client.delete("/api/threshold", params={"bundle": "0" * 64})
    assert undone.status_code == 409


def test_every_worker_of_the_host_follows(tmp_path: Path, press_line: Bundle) -> None:
    adopt(tmp_path, press_line, "1")
    (one, desk), (other, _) = worker(tmp_path), worker(tmp_path)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    assert held(one).detector.threshold.value == 3.5
    assert held(other).detector.threshold.value == 3.5
    late, _ = worker(tmp_path)  # one that starts only now
    assert held(late).detector.threshold.value == 3.5


def test_the_next_version_ends_it_also_should_the_bundle_serve_again(
    tmp_path: Path, press_line: Bundle
) -> None:
    other = press_line_bundle(tmp_path / "other", seed=1)
    adopt(tmp_path, press_line, "1")
    detectors, desk = worker(tmp_path)
    desk.look()
    desk.set(held(detectors), 3.5, "anna", "too loud", None)
    adopt(tmp_path, other, "2")
    assert held(detectors).detector.threshold.value == other.detector.threshold.value
    desk.look()
    adopt(tmp_path, press_line, "3")
    assert held(detectors).detector.threshold.value == press_line.detector.threshold.value
    ended = desk.book.past(10)[0]
    assert (ended.event, ended.bundle, ended.why) == ("replaced", press_line.hash, "2")


def test_a_version_that_went_before_anybody_looked_ends_it_too(
    tmp_path: Path, press_line: Bundle
) -> None:
    other = press_line_bundle(tmp_path / "other", seed=1)
    adopt(tmp_path, press_line, "1")
    before, its_desk = worker(tmp_path)
    its_desk.set(held(before), 3.5, "anna", "too loud", None)
    detectors, desk = worker(tmp_path)  # the service is started again
    adopt(tmp_path, other, "2")
    detectors.refresh()
    desk.look()
    adopt(tmp_path, press_line, "3")
    assert held(detectors).change is None


def test_a_version_that_came_and_went_between_two_looks_ends_it_too(
    tmp_path: Path, press_line: Bundle
) -> None:
    other = press_line_bundle(tmp_path / "other", seed=1)
    adopt(tmp_path, press_line, "1")
    detectors, desk = worker(tmp_path)
    desk.look()
    desk.set(held(detectors), 3.5, "anna", "too loud", None)
    for version, bundle in (("2", other), ("3", press_line)):
        adopt(tmp_path, bundle, version)
        detectors.refresh()
    desk.look()
    assert held(detectors).change is None
    assert (desk.book.past(1)[0].event, desk.book.past(1)[0].why) == ("replaced", "2")


def test_a_version_with_the_same_bundle_keeps_it(tmp_path: Path, press_line: Bundle) -> None:
    adopt(tmp_path, press_line, "1")
    detectors, desk = worker(tmp_path)
    desk.look()
    desk.set(held(detectors), 3.5, "anna", "too loud", None)
    adopt(tmp_path, press_line, "2")
    assert held(detectors).detector.threshold.value == 3.5
    desk.look()
    assert held(detectors).detector.threshold.value == 3.5


def test_of_two_who_decide_at_the_same_moment_one_is_told(
    tmp_path: Path, press_line: Bundle
) -> None:
    adopt(tmp_path, press_line, "1")
    detectors, desk = worker(tmp_path)
    seen: Change | None = desk.book.newest()
    served = held(detectors)
    desk.set(served, 3.5, "anna", "too loud", None)
    assert desk.book.add(desk.book.past(1)[0], seen, None) is None
    desk.book.newest = lambda: seen  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="somebody else"):
        desk.set(served, 4.5, "ben", "too quiet", None)


def test_who_decides_while_another_version_takes_over_is_told(
    tmp_path: Path, press_line: Bundle
) -> None:
    adopt(tmp_path, press_line, "1")
    detectors, desk = worker(tmp_path)
    served = held(detectors)
    adopt(tmp_path, press_line_bundle(tmp_path / "other", seed=1), "2")
    detectors.refresh()
    desk.look()
    with pytest.raises(Conflict, match="version 2 took the place of version 1"):
        desk.set(served, 3.5, "anna", "too loud", None)
    assert desk.book.newest() is None


def test_to_set_it_takes_the_right_to_operate(
    tmp_path: Path, press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    (reader, score), (operator, operate) = (
        make_key("wall", ["score"]),
        make_key("anna", ["operate"]),
    )
    keys.add(reader)
    keys.add(operator)
    app = make_app(press_line.folder, database_url="none", keys_file=keys.path)
    client = TestClient(app, raise_server_exceptions=False)
    body = {"bundle": press_line.hash, "value": 3.5, "comment": "too loud"}
    headers = {"X-API-Key": score}
    assert client.get("/api/threshold", headers=headers).status_code == 200
    assert client.post("/api/threshold", json=body, headers=headers).status_code == 403
    assert client.delete("/api/threshold", headers=headers).status_code == 403
    answer = client.post("/api/threshold", json=body, headers={"X-API-Key": operate})
    assert answer.status_code == 200
    assert answer.json()["override"]["who"] == "anna"
