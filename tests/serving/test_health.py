"""GET /health/ready says what is so now."""

import os
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.following.cache import Cache, Refused, Status, now
from serving.following.follower_lock import take_lock
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from tests.serving.conftest import MakeClient


def cache_of(client: TestClient) -> Cache:
    assert isinstance(client.app, FastAPI)
    cache: Cache = client.app.state.detectors.cache
    return cache


def test_what_the_follower_before_a_restart_said_is_not_shown_after_it(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder)
    cache = cache_of(client)
    cache.create()
    before = take_lock(cache.lock_file)
    assert before is not None
    refused = Refused(version="9", reason="altered")
    cache.write_status(Status(registry="unreachable", refused=refused, since=now()))
    assert client.get("/health/ready").json()["registry"] == "unreachable"
    os.close(before)
    after = take_lock(cache.lock_file)
    assert after is not None
    restarted = client.get("/health/ready").json()
    assert (restarted["registry"], restarted["notes"]) == ("unknown", [])
    assert restarted["status"] == "ready"
    cache.write_status(Status(registry="reachable", since=now()))
    assert client.get("/health/ready").json()["registry"] == "reachable"
    os.close(after)


def test_a_clock_that_was_set_back_does_not_hide_what_the_follower_says(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "key")
    cache.create()
    lock = take_lock(cache.lock_file)
    assert lock is not None
    cache.write_status(Status(registry="reachable", since=now()))
    os.utime(cache.status_file, (0, 0))
    assert cache.follower_spoke()
    os.close(lock)


def test_without_a_model_it_says_why_not(tmp_path: Path, make_client: MakeClient) -> None:
    client = make_client(tmp_path / "nothing")
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "nothing" in answer.json()["reason"]


def test_a_reason_of_an_earlier_follower_is_no_reason_now(
    tmp_path: Path, make_client: MakeClient
) -> None:
    client = make_client("models:/kizashi", tracking_uri=f"sqlite:///{tmp_path}/none.db")
    cache = cache_of(client)
    cache.create()
    cache.write_status(Status(registry="reachable", problem="of yesterday", since=now()))
    lock = take_lock(cache.lock_file)
    assert lock is not None
    assert client.get("/health/ready").json()["reason"] == "none has been loaded yet"
    os.close(lock)


def test_a_history_that_cannot_write_leaves_it_ready_with_a_note(client: TestClient) -> None:
    assert isinstance(client.app, FastAPI)
    client.app.state.history.writer.problem = "the disk is full"
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    (note,) = answer.json()["notes"]
    assert "anomalies are answered with 503" in note
    assert "the disk is full" in note


def keyed(tmp_path: Path) -> str:
    record, key = make_key("probe", ["score"])
    KeyFile(tmp_path / "cache" / "keys.json").add(record)
    return key


def test_a_stranger_is_told_whether_it_is_ready_and_no_more(
    press_line: Bundle, tmp_path: Path, make_client: MakeClient
) -> None:
    key = keyed(tmp_path)
    client = make_client(press_line.folder)
    for headers in ({}, {"X-API-Key": "kz_a_b"}):
        stranger = client.get("/health/ready", headers=headers)
        assert stranger.status_code == 200
        assert stranger.json() == {"status": "ready", "reason": None}
    known = client.get("/health/ready", headers={"X-API-Key": key}).json()
    assert known["model"]["source"] == str(press_line.folder)
    assert known["notes"] == []


def test_a_stranger_is_told_that_there_is_no_model_and_not_where_it_should_be(
    tmp_path: Path, make_client: MakeClient
) -> None:
    key = keyed(tmp_path)
    client = make_client(tmp_path / "nothing")
    stranger = client.get("/health/ready")
    assert stranger.status_code == 503
    assert str(tmp_path) not in stranger.text
    assert stranger.json()["status"] == "not ready"
    known = client.get("/health/ready", headers={"X-API-Key": key})
    assert str(tmp_path / "nothing") in known.json()["reason"]


def test_asking_after_health_takes_nothing_of_a_keys_rate(
    press_line: Bundle, tmp_path: Path, make_client: MakeClient
) -> None:
    headers = {"X-API-Key": keyed(tmp_path)}
    client = make_client(press_line.folder, rate_limit=1)
    for _ in range(3):
        assert "notes" in client.get("/health/ready", headers=headers).json()
    row = {"values": [1.2, 0.9, 1.1]}
    assert client.post("/anomaly", json=row, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/ping", "/health"])
def test_head_is_answered_as_get_without_its_body(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.headers["content-type"]) == (200, got.headers["content-type"])
