"""The history and the alarms over HTTP, over both databases."""

import csv
import io
import json
from typing import Any

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.alarms.api import OccurrenceDetail
from serving.alarms.events import Place, _look, place_of
from serving.history.tables import batches, sources, verdicts
from serving.history.views import (
    Alarms,
    Annotations,
    Audit,
    Expected,
    Occurrences,
    Series,
    Sources,
)
from serving.verdicts.judging import ROWS_AT_ONCE
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.conftest import MakeClient
from tests.serving.history.conftest import count, settled

SOURCE = "press 1/ä"


def send(client: TestClient, count: int, row: list[float], source: str = SOURCE) -> None:
    for _ in range(count):
        answer = client.post("/anomaly", json={"values": row, "source": source})
        assert answer.status_code == 200


@pytest.fixture
def alarmed(history_client: TestClient) -> TestClient:
    """A service one of whose two sources has an alarm."""
    send(history_client, 3, NORMAL_ROW, "press-02")
    send(history_client, 2, NORMAL_ROW)
    send(history_client, 4, ANOMALOUS_ROW)
    settled(history_client)
    return history_client


def act(client: TestClient, action: str, **body: Any) -> Any:
    return client.post(f"/api/alarms/{action}", json={"source": SOURCE} | body)


def state(client: TestClient) -> str:
    answer = client.get("/api/alarms", params={"source": SOURCE, "kind": "anomaly"})
    (alarm,) = Alarms.model_validate_json(answer.content).alarms
    return alarm.state


def test_sources_are_told_loudest_first_with_all_that_a_tile_needs(alarmed: TestClient) -> None:
    answer = Sources.model_validate_json(alarmed.get("/api/sources").content)
    loud, quiet = answer.sources
    assert (loud.name, loud.state, loud.kind, loud.priority) == (
        *(SOURCE, "unacknowledged", "anomaly", "medium"),
    )
    assert loud.sensor in ("vibration", "current", "sound")
    assert loud.severity is not None and loud.severity > 0.5
    assert sum(spark.rows for spark in loud.sparkline) == loud.rows == 6
    assert sum(spark.anomalies for spark in loud.sparkline) == 4
    assert (quiet.name, quiet.state, quiet.alarms) == ("press-02", "normal", [])


def test_a_series_of_rows_has_values_and_what_was_expected_of_anomalies(
    alarmed: TestClient,
) -> None:
    answer = alarmed.get("/api/series", params={"source": SOURCE})
    series = Series.model_validate_json(answer.content)
    assert (series.resolution, series.truncated) == ("raw", False)
    assert series.anomalies == [0, 0, 1, 1, 1, 1]
    current = series.sensors[1]
    assert (current.name, current.unit) == ("current", "A")
    assert current.values == [0.9, 0.9, 2.0, 2.0, 2.0, 2.0]
    assert current.expected is not None
    assert [value is None for value in current.expected] == [True] * 2 + [False] * 4
    assert [one.version for one in series.thresholds] == [alarmed.get("/model").json()["version"]]
    assert [span.kind for span in series.spans] == ["anomaly"]


def test_rows_of_one_time_are_told_apart_by_their_ids(alarmed: TestClient) -> None:
    row = {"values": NORMAL_ROW, "source": "press-04", "timestamp": "2026-01-31T08:00:00Z"}
    for _ in range(3):
        assert alarmed.post("/anomaly", json=row).is_success
    history = settled(alarmed)
    asked = {"source": "press-04", "start": "2026-01-31T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    series = Series.model_validate_json(alarmed.get("/api/series", params=asked).content)
    assert series.id is not None and len(set(series.time)) == 1
    first, _, last = series.id
    assert series.id == sorted(set(series.id)) and series.newest == last
    told = _look(history.database, "press-04", Place(0, first))
    (news,) = [data for name, _, data in told if name == "rows" and data["source"] == "press-04"]
    assert news["id"] == series.id[1:]
    expected = Expected.model_validate_json(alarmed.get("/api/expected", params=asked).content)
    assert expected.id == series.id


def test_a_time_of_nothing_but_anomalies_is_told_by_rows(alarmed: TestClient) -> None:
    send(alarmed, 3, ANOMALOUS_ROW, "press-03")
    settled(alarmed)
    answer = alarmed.get("/api/series", params={"source": "press-03"})
    assert Series.model_validate_json(answer.content).resolution == "raw"


@pytest.mark.parametrize("resolution", ["minute", "hour", "day"])
def test_a_series_of_trends_has_means_and_limits(alarmed: TestClient, resolution: str) -> None:
    asked = {"source": SOURCE, "resolution": resolution}
    series = Series.model_validate_json(alarmed.get("/api/series", params=asked).content)
    assert (sum(series.rows), sum(series.anomalies)) == (6, 4)
    low, high = series.sensors[1].low, series.sensors[1].high
    assert low is not None and high is not None
    assert (min(x for x in low if x), max(x for x in high if x)) == (0.9, 2.0)


def test_few_points_are_minutes_and_hours_rather_than_rows(alarmed: TestClient) -> None:
    asked = {"source": SOURCE, "points": "5"}
    assert alarmed.get("/api/series", params=asked).json()["resolution"] == "hour"
    asked["points"] = "60"
    assert alarmed.get("/api/series", params=asked).json()["resolution"] == "raw"


def test_an_alarm_is_acknowledged_once_with_who_and_why(alarmed: TestClient) -> None:
    told = act(alarmed, "acknowledge", comment="on my way")
    (alarm,) = Alarms.model_validate_json(told.content).alarms
    assert alarm.state == "acknowledged"
    assert alarm.occurrence is not None
    assert (alarm.occurrence.acknowledged_by, alarm.occurrence.comment) == (
        *("anonymous", "on my way"),
    )
    again = act(alarmed, "acknowledge")
    assert again.status_code == 409
    assert "no alarm of source" in again.json()["detail"]
    answer = alarmed.get("/api/audit", params={"source": SOURCE})
    newest, first = Audit.model_validate_json(answer.content).audit
    assert (first.event, first.who, first.before, first.after) == (
        *("began", "kizashi", "normal", "unacknowledged"),
    )
    assert (newest.event, newest.who, newest.why) == ("acknowledged", "anonymous", "on my way")
    assert newest.request_id == told.headers["x-request-id"]


def test_a_shelf_always_ends(alarmed: TestClient) -> None:
    assert act(alarmed, "shelve", kind="anomaly").status_code == 422
    assert act(alarmed, "shelve", kind="anomaly", seconds=90_000).status_code == 409
    past = act(alarmed, "shelve", kind="anomaly", until="2020-01-01T00:00:00Z")
    assert past.status_code == 409
    (alarm,) = act(alarmed, "shelve", kind="anomaly", seconds=1).json()["alarms"]
    assert (alarm["state"], alarm["until"] is not None) == ("shelved", True)
    history = settled(alarmed)
    history.upkeep.once(2_000_000_000_000_000)
    assert state(alarmed) == "unacknowledged"


def test_a_source_is_taken_out_of_service_whole_and_put_back(alarmed: TestClient) -> None:
    out = act(alarmed, "out-of-service", seconds=3600, comment="new bearing")
    assert {one["state"] for one in out.json()["alarms"]} == {"out_of_service"}
    send(alarmed, 3, ANOMALOUS_ROW)
    assert state(alarmed) == "out_of_service"
    send(alarmed, 10, NORMAL_ROW)
    settled(alarmed)
    assert act(alarmed, "in-service").status_code == 200
    assert state(alarmed) == "normal"
    assert act(alarmed, "in-service").status_code == 409


def test_who_is_not_known_is_not_found(alarmed: TestClient) -> None:
    unknown = {"source": "press-99", "kind": "anomaly"}
    for answer in (
        alarmed.post("/api/alarms/acknowledge", json=unknown),
        alarmed.get("/api/series", params={"source": "press-99"}),
        alarmed.get("/api/export", params={"source": "press-99"}),
        alarmed.get("/api/occurrences/99"),
        alarmed.post("/api/occurrences/99/label", json={"label": "true"}),
        alarmed.delete("/api/annotations/99"),
    ):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_occurrences_are_filtered_and_paged(alarmed: TestClient) -> None:
    send(alarmed, 10, NORMAL_ROW)
    send(alarmed, 3, ANOMALOUS_ROW)
    settled(alarmed)

    def found(**asked: str) -> list[int]:
        answer = alarmed.get("/api/occurrences", params=asked)
        return [one.id for one in Occurrences.model_validate_json(answer.content).occurrences]

    everything = found()
    assert len(everything) == 2
    assert found(open="true") == everything[:1]
    assert found(open="false") == everything[1:]
    assert found(acknowledged="false", kind="anomaly", source=SOURCE) == everything
    assert found(source="press-02") == found(priority="critical") == found(label="true") == []
    first = alarmed.get("/api/occurrences", params={"limit": "1"}).json()
    assert found(before=str(first["next"])) == everything[1:]
    assert found(end="2020-01-01T00:00:00Z") == []


def test_a_false_alarm_becomes_normal_rows_for_training(alarmed: TestClient) -> None:
    (one,) = alarmed.get("/api/occurrences").json()["occurrences"]
    path = f"/api/occurrences/{one['id']}"
    labelled = alarmed.post(f"{path}/label", json={"label": "false", "comment": "cleaning"})
    assert labelled.json()["label"] == "false"
    OccurrenceDetail.model_validate_json(alarmed.get(path).content)
    file = alarmed.get("/api/export", params={"source": SOURCE, "what": "labels"})
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert {row["label"] for row in rows} == {"0"}
    assert {row["current"] for row in rows} == {"2.0"}
    alarmed.post(f"{path}/label", json={"label": None})
    file = alarmed.get("/api/export", params={"source": SOURCE, "what": "labels"})
    assert list(csv.DictReader(io.StringIO(file.text))) == []


def test_rows_are_exported_alike_as_csv_and_parquet(alarmed: TestClient) -> None:
    file = alarmed.get("/api/export", params={"source": SOURCE})
    assert "filename*=UTF-8''press_1_%C3%A4-verdicts.csv" in file.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert [row["status"] for row in rows] == ["normal"] * 2 + ["anomaly"] * 4
    assert [float(row["vibration"]) for row in rows] == [1.2] * 2 + [1.0] * 4
    other = alarmed.get("/api/export", params={"source": SOURCE, "format": "parquet"})
    table = pq.read_table(io.BytesIO(other.content)).to_pylist()
    assert [row["score"] for row in table] == [float(row["score"]) for row in rows]
    assert list(table[0]) == list(rows[0])


def test_notes_are_written_read_and_taken_away(alarmed: TestClient) -> None:
    note = {"source": SOURCE, "start": "2026-01-31T08:00:00+09:00", "text": "刃を交換"}
    made = alarmed.post("/api/annotations", json=note).json()
    assert (made["start"], made["text"]) == ("2026-01-30T23:00:00Z", "刃を交換")
    answer = alarmed.get("/api/annotations", params={"source": SOURCE})
    assert [one.id for one in Annotations.model_validate_json(answer.content).annotations] == [
        made["id"]
    ]
    assert alarmed.delete(f"/api/annotations/{made['id']}").status_code == 204
    answer = alarmed.get("/api/annotations", params={"source": SOURCE})
    assert answer.json() == {"annotations": []}


def test_a_reader_of_events_that_comes_back_is_told_what_it_missed(alarmed: TestClient) -> None:
    history = settled(alarmed)
    told = _look(history.database, SOURCE, Place(0, 0))
    steps = [data for name, _, data in told if name == "alarm"]
    assert [step["event"] for step in steps] == ["began"]
    rows = {data["source"]: data for name, _, data in told if name == "rows"}
    assert rows[SOURCE]["anomaly"] == [0, 0, 1, 1, 1, 1]
    assert json.loads(bytes(rows[SOURCE]["values"][0])) == NORMAL_ROW
    assert rows["press-02"]["values"] is None
    place = told[-1][1]
    assert _look(history.database, SOURCE, place) == []
    act(alarmed, "acknowledge")
    ((name, later, step),) = _look(history.database, None, place)
    assert (name, step["event"], later.step) == ("alarm", "acknowledged", place.step + 1)


@pytest.mark.parametrize("told", [None, "", "7", "7.", "-1.2", "1.2.3", "9" * 19 + ".1", "x.y"])
def test_an_id_of_no_event_is_no_place(told: str | None) -> None:
    assert place_of(told) is None
    assert place_of("12.345") == Place(12, 345)


def test_what_is_only_tried_is_judged_and_leaves_no_trace(history_client: TestClient) -> None:
    answer = history_client.post("/anomaly?keep=false", json={"values": ANOMALOUS_ROW})
    assert answer.json()["status"] == "anomaly"
    full = {"detail": "full", "keep": "false"}
    assert history_client.post("/anomaly", params=full, json={"values": NORMAL_ROW}).is_success
    rows = {"instances": [NORMAL_ROW, ANOMALOUS_ROW]}
    assert history_client.post("/anomaly/batch?keep=false", json=rows).is_success
    database = settled(history_client).database
    assert [count(database, table) for table in (verdicts, batches, sources)] == [0, 0, 0]
    for path in ("/anomaly?keep=maybe", "/anomaly/batch?keep="):
        refused = history_client.post(path, json={"values": NORMAL_ROW})
        assert refused.status_code == 422 and "'true' or 'false'" in refused.text


def test_a_batch_of_nobody_in_particular_is_kept_and_is_no_tile(
    history_client: TestClient,
) -> None:
    rows = {"instances": [NORMAL_ROW, ANOMALOUS_ROW]}
    assert history_client.post("/anomaly/batch", json=rows).is_success
    assert count(settled(history_client).database, batches) == 1
    assert history_client.get("/api/sources").json()["sources"] == []
    send(history_client, 1, NORMAL_ROW, "default")
    settled(history_client)
    assert [one["rows"] for one in history_client.get("/api/sources").json()["sources"]] == [1]


@pytest.mark.parametrize(("good", "kept"), [(ROWS_AT_ONCE - 1, 0), (ROWS_AT_ONCE + 1, 1)])
def test_a_batch_that_ends_badly_leaves_what_was_judged_before(
    history_client: TestClient, good: int, kept: int
) -> None:
    row = ",".join(map(str, NORMAL_ROW))
    text = "\n".join(["vibration,current,sound", *[row] * good, "1,loose,3\n"])
    answer = history_client.post(
        "/anomaly/batch", content=text, headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 422
    assert count(settled(history_client).database, batches) == kept


def test_a_service_without_a_history_answers_and_says_so(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, database_url="none")
    assert client.post("/anomaly", json={"values": ANOMALOUS_ROW}).status_code == 200
    answer = client.get("/api/sources")
    assert answer.status_code == 503
    assert "keeps no history" in answer.json()["detail"]
