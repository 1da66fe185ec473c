"""GET /health/ready says what is so now."""

import os
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.following.cache import Cache, Refused, Status, now
from serving.following.follower_lock import take_lock
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
