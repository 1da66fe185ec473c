"""The list of alarms over HTTP: filters, pages and files, on both databases."""

import csv
import io
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert
from starlette.testclient import TestClient

from serving.alarms.export import COLUMNS
from serving.history import table_file
from serving.history.export import Rows
from serving.history.occurrences import READ_AT_ONCE
from serving.history.parquet_file import parquet
from serving.history.record import MICROSECONDS
from serving.history.tables import models, trends
from serving.history.views import Occurrences
from tests.bundles import NORMAL_ROW
from tests.occurrences import START, add_occurrences, many
from tests.serving.history.conftest import settled

LIST, FILE = "/api/occurrences", "/api/occurrences/export"


def listed(client: TestClient, **asked: Any) -> Occurrences:
    answer = client.get(LIST, params=asked)
    return Occurrences.model_validate_json(answer.content)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def fill(client: TestClient, count: int) -> None:
    add_occurrences(settled(client).database, many(count))


def test_pages_are_turned_by_what_each_says_of_the_next(history_client: TestClient) -> None:
    fill(history_client, 25)
    seen, asked = [], {"limit": "10", "priority": "high"}
    page = listed(history_client, **asked)
    seen += [one.id for one in page.occurrences]
    assert (len(seen), page.next, page.previous) == (6, None, None)
    asked = {"limit": "4", "priority": "high"}
    first = listed(history_client, **asked)
    second = listed(history_client, before=first.next, **asked)
    assert [one.id for one in first.occurrences + second.occurrences] == seen
    assert second.next is None
    assert listed(history_client, after=second.previous, **asked) == first


@pytest.mark.parametrize(
    ("asked", "culprit"),
    [
        ({"state": "normal"}, "state"),
        ({"kind": "noise"}, "kind"),
        ({"start": "2026-11-29T08:00:00"}, "start"),
        ({"before": "7"}, "before"),
        ({"after": "x"}, "after"),
        ({"before": "1.1", "after": "1.1"}, "'before' and 'after'"),
        ({"limit": "501"}, "limit"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_its_name(
    history_client: TestClient, asked: dict[str, str], culprit: str
) -> None:
    answer = history_client.get(LIST, params=asked)
    assert answer.status_code == 422
    assert culprit in answer.text


def test_a_file_has_all_that_the_filters_find_alike_as_csv_and_parquet(
    history_client: TestClient,
) -> None:
    fill(history_client, READ_AT_ONCE + 50)
    answer = history_client.get(FILE)
    assert answer.text.startswith("\ufeffid,source,")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "alarms.csv" in answer.headers["content-disposition"]
    rows = rows_of(answer.text)
    assert [int(row["id"]) for row in rows] == list(range(READ_AT_ONCE + 50, 0, -1))
    other = history_client.get(FILE, params={"format": "parquet"})
    assert "alarms.parquet" in other.headers["content-disposition"]
    table = pq.read_table(io.BytesIO(other.content)).to_pylist()
    assert list(table[0]) == list(rows[0]) == [column.name for column in COLUMNS]
    told = [
        {name: "" if cell is None else str(cell) for name, cell in row.items()} for row in table
    ]
    assert told == rows


def test_a_file_follows_the_filters_and_not_the_page(history_client: TestClient) -> None:
    fill(history_client, 60)
    asked = {"source": "press-02", "kind": "anomaly", "label": "none"}
    expected = [one.id for one in listed(history_client, **asked).occurrences]
    rows = rows_of(history_client.get(FILE, params=asked).text)
    assert [int(row["id"]) for row in rows] == expected != []
    none = history_client.get(FILE, params={"source": "press-99"})
    assert (none.status_code, rows_of(none.text)) == (200, [])
    empty = history_client.get(FILE, params={"source": "press-99", "format": "parquet"})
    assert pq.read_table(io.BytesIO(empty.content)).num_rows == 0


def test_a_csv_has_no_formulas_and_a_parquet_file_the_text_as_it_was(
    history_client: TestClient,
) -> None:
    formula = {"source": "=1+1", "comment": "@SUM(A1)", "sensor": "-x"}
    add_occurrences(settled(history_client).database, [formula | {"severity": -0.5}])
    (row,) = rows_of(history_client.get(FILE).text)
    assert (row["source"], row["comment"], row["sensor"]) == ("'=1+1", "'@SUM(A1)", "'-x")
    assert row["severity"] == "-0.5"
    file = history_client.get(FILE, params={"format": "parquet"}).content
    (exact,) = pq.read_table(io.BytesIO(file)).to_pylist()
    assert {name: exact[name] for name in formula} == formula


def test_the_request_of_a_row_is_no_formula_either(history_client: TestClient) -> None:
    body = {"values": NORMAL_ROW, "source": "press-01"}
    history_client.post("/anomaly", json=body, headers={"X-Request-ID": "-1+cmd"})
    settled(history_client)
    (row,) = rows_of(history_client.get("/api/export", params={"source": "press-01"}).text)
    assert row["request_id"] == "'-1+cmd"


@pytest.mark.parametrize("path", [f"{FILE}?", "/api/export?source=press-01"])
def test_without_the_extra_parquet_is_refused_with_what_to_install(
    history_client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    fill(history_client, 1)
    monkeypatch.setattr(table_file, "find_spec", lambda _: None)
    answer = history_client.get(f"{path}&format=parquet")
    assert answer.status_code == 415
    assert "pip install 'kizashi[arrow]'" in answer.json()["detail"]
    assert history_client.get(path).status_code == 200


def test_a_sensor_may_have_the_name_of_a_column(history_client: TestClient) -> None:
    fill(history_client, 1)
    database = settled(history_client).database
    with database.write() as connection:
        model: dict[str, Any] = {"name": "m", "version": "1", "bundle": "b", "threshold": 1.0}
        sensors = '[{"name": "status", "unit": ""}]'
        connection.execute(insert(models), model | {"sensors": sensors})
        trend: dict[str, Any] = {
            "source_id": 1,
            "resolution": 3600,
            "start": 0,
            "model_id": 1,
            "rows": 1,
        }
        trend |= {"anomalies": 0, "score_sum": 0.0, "score_max": 0.0, "sensors": b""}
        connection.execute(insert(trends), trend)
    rows = Rows(database, "press-01", 0, START + MICROSECONDS, "verdicts")
    file = b"".join(parquet(rows))
    kinds = [
        str(field.type) for field in pq.read_schema(io.BytesIO(file)) if field.name == "status"
    ]
    assert kinds == ["string", "double"]


def test_a_database_that_is_away_is_told_before_the_file_begins(
    history_client: TestClient,
) -> None:
    history = settled(history_client)
    with history.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE occurrences RENAME TO gone")
    assert history_client.get(FILE).status_code == 503
