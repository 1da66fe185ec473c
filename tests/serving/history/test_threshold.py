"""A threshold set by hand, kept in the history: shared by hosts, and looked at beforehand."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.errors import HistoryUnavailable
from serving.following.cache import Cache
from serving.following.detectors import Detectors, Served
from serving.history.database import Database
from serving.threshold import preview
from serving.threshold.api import Preview, ThresholdNow
from serving.threshold.desk import Desk
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.conftest import MakeClient
from tests.serving.history.conftest import settled

FOLLOWED = "models:/kizashi"


def host(
    folder: Path, database: Database | None, bundle: Bundle, followed: str = FOLLOWED
) -> tuple[Detectors, Desk]:
    """A worker of a host of its own, which serves `bundle`."""
    cache = Cache(folder, "key")
    cache.create()
    cache.adopt(bundle.folder, name="kizashi", version="1", source="here", tags={})
    detectors = Detectors(cache)
    detectors.refresh()
    desk = Desk(detectors, database, followed)
    desk.look()
    return detectors, desk


def held(detectors: Detectors) -> Served:
    served = detectors.refresh()
    assert served is not None
    return served


def test_every_host_that_shares_the_history_follows(
    tmp_path: Path, database: Database, press_line: Bundle
) -> None:
    one, desk = host(tmp_path / "one", database, press_line)
    other, its_desk = host(tmp_path / "other", database, press_line)
    stranger, a_third = host(tmp_path / "third", database, press_line, "models:/kizashi@candidate")
    desk.set(held(one), 3.5, "anna", "too loud", "r-1")
    its_desk.look()
    a_third.look()
    assert held(other).detector.threshold.value == 3.5
    assert held(other).change == held(one).change
    assert held(stranger).change is None
    its_desk.undo(held(other), "ben", "", None)
    desk.look()
    assert held(one).change is None
    assert [step.event for step in desk.book.past(10)] == ["undone", "set"]


def test_the_next_version_ends_it_for_every_host(
    tmp_path: Path, database: Database, press_line: Bundle
) -> None:
    newer = press_line_bundle(tmp_path / "newer", seed=1)
    one, desk = host(tmp_path / "one", database, press_line)
    other, its_desk = host(tmp_path / "other", database, press_line)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    its_desk.look()
    for detectors in (one, other):
        detectors.cache.adopt(newer.folder, name="kizashi", version="2", source="here", tags={})
        assert held(detectors).change is None
    desk.look()
    its_desk.look()
    assert [step.event for step in desk.book.past(10)] == ["replaced", "set"]
    fresh, _ = host(tmp_path / "fresh", database, press_line)  # the old version, once more
    assert held(fresh).change is None


def test_what_could_not_be_ended_at_first_is_ended_later(
    tmp_path: Path, database: Database, press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = press_line_bundle(tmp_path / "newer", seed=1)
    detectors, desk = host(tmp_path / "one", database, press_line)
    desk.set(held(detectors), 3.5, "anna", "too loud", None)
    detectors.cache.adopt(newer.folder, name="kizashi", version="2", source="here", tags={})
    assert held(detectors).change is None

    def full(*_: object) -> None:
        raise HistoryUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(desk.book, "add", full)
        desk.look()
    assert [step.event for step in desk.book.past(10)] == ["set"]
    desk.look()
    assert [step.event for step in desk.book.past(10)] == ["replaced", "set"]


def test_a_new_host_starts_with_it(tmp_path: Path, database: Database, press_line: Bundle) -> None:
    one, desk = host(tmp_path / "one", database, press_line)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    fresh, _ = host(tmp_path / "fresh", database, press_line)
    assert held(fresh).detector.threshold.value == 3.5


def test_while_the_database_is_away_a_host_starts_with_what_it_knew(
    tmp_path: Path,
    database: Database,
    press_line: Bundle,
    open_database: Callable[[str], Database],
) -> None:
    one, desk = host(tmp_path / "one", database, press_line)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    (tmp_path / "taken").write_text("not a folder")
    nowhere = open_database(f"sqlite:///{tmp_path}/taken/history.db")
    again = Detectors(one.cache)
    desk = Desk(again, nowhere, FOLLOWED)
    desk.look()
    assert held(again).detector.threshold.value == 3.5
    with pytest.raises(HistoryUnavailable):
        desk.set(held(again), 4.5, "anna", "more", None)
    assert held(again).detector.threshold.value == 3.5


def test_an_empty_database_learns_what_is_in_force(
    tmp_path: Path,
    database: Database,
    press_line: Bundle,
    open_database: Callable[[str], Database],
) -> None:
    one, desk = host(tmp_path / "one", database, press_line)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    renewed = open_database(f"sqlite:///{tmp_path}/renewed.db")
    again = Desk(one, renewed, FOLLOWED)
    again.look()
    newest = again.book.newest()
    assert newest is not None and newest.value == 3.5
    assert held(one).detector.threshold.value == 3.5


def send(client: TestClient, count: int, row: list[float], source: str) -> None:
    for _ in range(count):
        body = {"values": row, "source": source}
        assert client.post("/anomaly", json=body).status_code == 200


def looked(client: TestClient, value: float) -> Preview:
    answer = client.get("/api/threshold/preview", params={"value": value})
    assert answer.status_code == 200, answer.text
    return Preview.model_validate(answer.json())


def test_the_last_week_is_counted_again_with_another_threshold(
    history_client: TestClient, press_line: Bundle
) -> None:
    send(history_client, 4, NORMAL_ROW, "press-1")
    send(history_client, 3, ANOMALOUS_ROW, "press-2")
    beyond = [1.2, 0.9, 99.0]  # an anomaly at any threshold
    send(history_client, 2, beyond, "press-3")
    settled(history_client)
    now = looked(history_client, press_line.detector.threshold.value)
    assert now.week is not None and (now.week.then, now.week.would) == (5, 5)
    everything = looked(history_client, 1e-9)
    assert everything.week is not None and everything.week.would == 9
    nothing = looked(history_client, 1e50)
    assert nothing.week is not None
    told = [(one.name, one.rows, one.then, one.would) for one in nothing.week.sources]
    assert told == [("press-3", 2, 2, 2), ("press-2", 3, 3, 0), ("press-1", 4, 0, 0)]
    assert not nothing.week.estimated and not nothing.week.incomplete


def test_calibration_tells_how_many_normal_rows_lie_above(
    history_client: TestClient, press_line: Bundle
) -> None:
    scores = press_line.detector.calibration.scores
    for value in (1e-9, press_line.detector.threshold.value, float(scores.max()) * 2):
        above = looked(history_client, value).calibration
        assert above.above == int((scores > value * (1 + 1e-6)).sum())
        assert above.by_tail == (above.above == 0)
    assert 0 < looked(history_client, float(scores.max()) * 2).calibration.share < 1 / len(scores)


def test_marked_alarms_give_precision_and_recall(
    history_client: TestClient, press_line: Bundle
) -> None:
    assert looked(history_client, 1.0).labelled is None
    for source, label in (("press-1", "true"), ("press-2", "false")):
        send(history_client, 5, ANOMALOUS_ROW, source)
        settled(history_client)
        found = history_client.get("/api/occurrences", params={"source": source}).json()
        place = f"/api/occurrences/{found['occurrences'][0]['id']}/label"
        assert history_client.post(place, json={"label": label}).status_code == 200
    low, high = looked(history_client, 1.0).labelled, looked(history_client, 1e50).labelled
    assert low is not None and high is not None
    assert (low.precision, low.recall) == (0.5, 1.0)
    assert (low.true_alarms_found, low.false_alarms_found) == (1, 1)
    assert (high.precision, high.recall) == (None, 0.0)
    assert (high.true_alarms_found, high.false_alarms_found) == (0, 0)


def test_a_note_that_says_what_rows_were_counts_also_where_no_alarm_was(
    history_client: TestClient,
) -> None:
    send(history_client, 4, NORMAL_ROW, "press-1")
    send(history_client, 5, ANOMALOUS_ROW, "press-2")
    settled(history_client)

    def note(source: str, label: str) -> dict[str, Any]:
        span = {"start": "2020-01-01T00:00:00Z", "end": "2199-01-01T00:00:00Z"}
        body = span | {"source": source, "text": "looked at it", "label": label}
        answer = history_client.post("/api/annotations", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    missed = note("press-1", "true")
    assert missed["label"] == "true"
    found = looked(history_client, 1.0).labelled
    assert found is not None
    assert (found.recall, found.true_rows, found.missed_rows) == (0.0, 4, 4)
    alarm = history_client.get("/api/occurrences").json()["occurrences"][0]["id"]
    history_client.post(f"/api/occurrences/{alarm}/label", json={"label": "true"})
    found = looked(history_client, 1.0).labelled
    assert found is not None and found.precision == 1.0 and found.true_alarms_found == 1
    marked = found.true_rows - 4
    note("press-2", "false")  # the later word counts, and every row once
    found = looked(history_client, 1.0).labelled
    assert found is not None
    assert (found.true_rows, found.false_rows, found.precision) == (4, 5, 0.0)
    assert marked > 0 and found.true_alarms == 1
    history_client.delete(f"/api/annotations/{missed['id']}")
    found = looked(history_client, 1.0).labelled
    assert found is not None and found.true_rows == 0


def test_what_rows_were_needs_an_end(history_client: TestClient) -> None:
    send(history_client, 1, NORMAL_ROW, "press-1")
    settled(history_client)
    body = {"source": "press-1", "start": "2020-01-01T00:00:00Z", "text": "x", "label": "true"}
    answer = history_client.post("/api/annotations", json=body)
    assert answer.status_code == 422 and "'end' is needed" in answer.text


def test_rows_of_another_version_are_told_and_not_counted(
    tmp_path: Path, history_client: TestClient, press_line: Bundle
) -> None:
    send(history_client, 4, NORMAL_ROW, "press-1")
    history = settled(history_client)
    other = press_line_bundle(tmp_path / "newer", seed=1)
    with history.database.read() as connection:
        week = preview.week(connection, other.hash, 1.0, round(time.time() * 1e6))
    assert week.rows == 0 and week.other_versions == 4


def test_many_minutes_are_looked_at_in_part(
    history_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "MOST_MINUTES", 1)
    for minute in range(4):
        body = {"values": NORMAL_ROW, "source": "a", "timestamp": f"2026-01-01T00:0{minute}:00Z"}
        history_client.post("/anomaly", json=body)
    history = settled(history_client)
    bundle = history_client.get("/model").json()["bundle"]
    new_year = 1_767_225_600_000_000
    with history.database.read() as connection:
        week = preview.week(connection, bundle, 1e-9, new_year + 3_600_000_000)
    assert week.estimated and week.sources[0].would == 4


def test_over_http_it_is_shared_and_shown_to_be(
    history_client: TestClient, press_line: Bundle
) -> None:
    body = {"bundle": press_line.hash, "value": 3.5, "comment": "too loud"}
    now = ThresholdNow.model_validate(history_client.post("/api/threshold", json=body).json())
    assert now.shared and now.value == 3.5 and now.changes[0].who == "anonymous"


def test_without_a_history_only_calibration_is_asked(
    press_line: Bundle, make_client: MakeClient
) -> None:
    found = looked(make_client(press_line.folder, database_url="none"), 1.0)
    assert found.week is None and found.labelled is None and found.false_alarms_a_day is None
