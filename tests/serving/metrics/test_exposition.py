"""GET /metrics of one application."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.following.cache import Refused, Status, now
from serving.metrics.families import FAMILIES
from serving.notify import figures
from tests.bundles import NORMAL_ROW, press_line_bundle
from tests.serving.conftest import MakeClient
from tests.serving.services import Samples, samples, total

DOCS = Path(__file__).parents[3] / "docs"


def metrics(client: TestClient) -> Samples:
    return samples(client.get("/metrics").text)


def state_of(client: TestClient) -> Any:
    assert isinstance(client.app, FastAPI)
    return client.app.state


def sends(client: TestClient, folder: Path) -> None:
    """As if notifications were sent from here: one of each kind."""
    attendant = SimpleNamespace(lock_file=folder / "attendant.lock")
    state_of(client).attendant = attendant
    told: dict[str, dict[str, figures.Values]] = {"counter": {}, "gauge": {}}
    for family in FAMILIES:
        if re.match("kizashi_(notif|line)", family.name):
            told[family.kind][family.name] = [(family.labels, 1.0)]
    figures.leave(folder, told["counter"], told["gauge"])


def test_every_family_is_there_with_its_kind_and_labels(client: TestClient, tmp_path: Path) -> None:
    client.post("/anomaly", json={"values": NORMAL_ROW, "source": "press 7"})
    client.post("/anomaly", json={"values": []})
    state_of(client).counts.queue("history", lambda: 3)
    state_of(client).detectors.cache.write_status(Status(registry="reachable", since=now()))
    sends(client, tmp_path)
    text = client.get("/metrics").text
    found = {one.name: one for one in text_string_to_metric_families(text)}
    for family in FAMILIES:
        told = found[family.name.removesuffix("_total")]
        assert told.type == family.kind
        labels = {frozenset(sample.labels) - {"le"} for sample in told.samples}
        assert labels == {frozenset(family.labels)}, family.name


@pytest.mark.parametrize("page", ["monitoring.md", "ja/monitoring.md"])
def test_every_metric_is_documented_with_its_labels_and_no_other(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(kizashi_\w+)` \|[^|]+\|([^|]*)\|[^|]+\|$", text, re.MULTILINE)
    documented = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == {family.name: family.labels for family in FAMILIES}
    used = set(re.findall(r"(?<!#)\bkizashi_\w+", text))
    assert {re.sub("_bucket$", "", name) for name in used} == set(documented)


def test_the_counts_of_one_application_are_its_own(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    first, second = TestClient(make_app(press_line.folder)), TestClient(make_app(press_line.folder))
    for _ in range(3):
        first.post("/anomaly", json={"values": NORMAL_ROW})
    assert total(metrics(first), "kizashi_verdicts_total") == 3
    assert total(metrics(second), "kizashi_verdicts_total") == 0


@pytest.mark.parametrize(
    ("accept", "media_type", "read"),
    [
        ("*/*", "text/plain", text_string_to_metric_families),
        ("application/openmetrics-text", "application/openmetrics-text", openmetrics),
    ],
)
def test_both_formats_are_written(
    client: TestClient, accept: str, media_type: str, read: Callable[[str], object]
) -> None:
    client.post("/anomaly", json={"values": NORMAL_ROW})
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(media_type)
    assert list(read(answer.text))  # type: ignore[call-overload]


def test_a_source_cannot_forge_a_sample(client: TestClient) -> None:
    source = 'x"} 1\\nkizashi_workers 99 # {"'
    assert client.post("/anomaly", json={"values": NORMAL_ROW, "source": source}).is_success
    found = metrics(client)
    assert total(found, "kizashi_workers") == 1
    assert total(found, "kizashi_verdicts_total", source=source) == 1


def test_a_threshold_that_a_person_set_shows_until_it_is_taken_back(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, database_url="none")
    client.post("/anomaly", json={"values": NORMAL_ROW})
    assert total(metrics(client), "kizashi_threshold_by_hand") == 0
    body = {"bundle": press_line.hash, "value": 3.5, "comment": "too loud"}
    assert client.post("/api/threshold", json=body).is_success
    assert total(metrics(client), "kizashi_threshold_by_hand") == 1
    assert client.delete("/api/threshold").is_success
    assert total(metrics(client), "kizashi_threshold_by_hand") == 0


def test_a_promotion_shows_as_a_swap_and_in_the_model(
    press_line: Bundle, tmp_path: Path, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder)
    client.post("/anomaly", json={"values": NORMAL_ROW})
    detectors = state_of(client).detectors
    other = press_line_bundle(tmp_path / "other", seed=1)
    detectors.cache.adopt(other.folder, name="kizashi", version="2", source="s", tags={})
    detectors.refresh()
    client.post("/anomaly", json={"values": NORMAL_ROW})
    found = metrics(client)
    assert total(found, "kizashi_model_swaps_total", outcome="swapped") == 1
    assert total(found, "kizashi_model_info", version="2", bundle=other.hash) == 1
    assert total(found, "kizashi_model_info") == 1
    assert total(found, "kizashi_verdicts_total", version="2") == 1
    assert total(found, "kizashi_verdicts_total") == 2


def test_a_pointer_to_nothing_shows_as_a_failure_once(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder)
    client.get("/health/ready")
    detectors = state_of(client).detectors
    detectors.cache.pointer_file.write_text("not a pointer")
    for _ in range(3):
        detectors.refresh()
    found = metrics(client)
    assert total(found, "kizashi_model_swaps_total", outcome="failed") == 1
    assert total(found, "kizashi_workers_ready") == 1


def test_what_the_follower_says_is_told_once(press_line: Bundle, make_client: MakeClient) -> None:
    client = make_client(press_line.folder)
    client.get("/health/ready")
    refused = Refused(version="9", reason="altered")
    status = Status(registry="unreachable", refused=refused, refusals=2, since=now())
    state_of(client).detectors.cache.write_status(status)
    found = metrics(client)
    assert total(found, "kizashi_model_swaps_total", outcome="refused") == 2
    assert total(found, "kizashi_model_refused") == 1
    assert found["kizashi_registry_reachable", ()] == 0


def test_what_is_said_of_notifications_is_the_host_s_however_many_workers_there_are(
    press_line: Bundle, make_client: MakeClient, tmp_path: Path
) -> None:
    workers = [make_client(press_line.folder, metrics_folder=tmp_path / "shared") for _ in "ab"]
    assert "kizashi_notifications_sending" not in str(metrics(workers[0]))
    for worker in workers:
        sends(worker, tmp_path)
    for worker in workers:
        found = metrics(worker)
        assert total(found, "kizashi_notifications_total") == 1
        assert total(found, "kizashi_notifications_waiting") == 1
    (tmp_path / figures.FILE).unlink()
    found = metrics(workers[0])
    assert found["kizashi_notifications_sending", ()] == 0
    assert total(found, "kizashi_notifications_waiting") == 0


def test_without_a_model_nothing_is_ready(tmp_path: Path, make_client: MakeClient) -> None:
    client = make_client(tmp_path / "nothing")
    assert client.post("/anomaly", json={"values": NORMAL_ROW}).status_code == 503
    found = metrics(client)
    assert total(found, "kizashi_workers_ready") == 0
    assert total(found, "kizashi_rejected_total", reason="NoModel", route="/anomaly") == 1


def test_the_event_loop_is_watched_and_counts_are_shared_while_the_service_runs(
    press_line: Bundle, tmp_path: Path, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder, metrics_folder=tmp_path / "shared")
    with TestClient(app) as client:
        client.post("/anomaly", json={"values": NORMAL_ROW})
        deadline = time.monotonic() + 60
        while total(metrics(client), "kizashi_event_loop_lag_seconds_count") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert total(metrics(client), "kizashi_workers") == 1
    neighbour = TestClient(make_app(press_line.folder, metrics_folder=tmp_path / "shared"))
    found = metrics(neighbour)
    assert total(found, "kizashi_verdicts_total") == 0  # of a version that no worker speaks of
    neighbour.post("/anomaly", json={"values": NORMAL_ROW})
    assert total(metrics(neighbour), "kizashi_verdicts_total") == 2
    assert total(found, "kizashi_workers_ended_total") == 1
    assert total(found, "kizashi_workers") == 1


def test_scores_of_several_workers_are_one_distribution_for_each_source(
    press_line: Bundle, tmp_path: Path, make_app: Callable[..., FastAPI]
) -> None:
    shared = tmp_path / "shared"
    workers = [TestClient(make_app(press_line.folder, metrics_folder=shared)) for _ in range(2)]
    sent: list[list[str | None]] = [["a", "a", "b"], ["b", None]]
    for client, sources in zip(workers, sent, strict=True):
        for source in sources:
            body = {"values": NORMAL_ROW} | ({} if source is None else {"source": source})
            client.post("/anomaly", json=body)
    for client in workers:  # each leaves its counts before it answers
        metrics(client)
    for found in map(metrics, workers):
        name = "kizashi_score_ratio_count"
        counted = {dict(labels)["source"]: n for (of, labels), n in found.items() if of == name}
        assert counted == {"a": 2, "b": 2, "": 1}


def test_a_folder_that_cannot_be_written_leaves_the_worker_answering_for_itself(
    press_line: Bundle, tmp_path: Path, make_client: MakeClient
) -> None:
    (tmp_path / "file").write_text("")
    client = make_client(press_line.folder, metrics_folder=tmp_path / "file" / "below")
    client.post("/anomaly", json={"values": NORMAL_ROW})
    assert total(metrics(client), "kizashi_verdicts_total") == 1
