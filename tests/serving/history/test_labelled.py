"""Which rows a label means, and that they stay."""

import csv

import pytest
from sqlalchemy import insert, select

from serving.alarms import actions
from serving.alarms.desk import By
from serving.following.detectors import Served
from serving.history.database import Database
from serving.history.export import Rows
from serving.history.record import MICROSECONDS
from serving.history.retention import Retention
from serving.history.store import Store
from serving.history.table_file import as_csv
from serving.history.tables import DAY, labels, occurrences
from serving.threshold.preview import labelled
from tests.serving.history.conftest import count
from tests.serving.history.test_store import START, row


def at(seconds: float) -> int:
    return round((START + seconds) * MICROSECONDS)


def told(database: Database) -> list[tuple[str, str]]:
    """Status and label of each labelled row."""
    pieces = as_csv(Rows(database, "press-01", 0, at(1e8), "labels"))
    lines = "".join(pieces).splitlines()
    return [(one["status"], one["label"]) for one in csv.DictReader(lines)]


def mark(database: Database, label: str, seconds: float) -> None:
    with database.write() as connection:
        newest = select(occurrences.c.id).order_by(occurrences.c.id.desc()).limit(1)
        found = connection.execute(newest).scalar_one()
        actions.label(connection, found, label, By(at(seconds), "", "mika"))


@pytest.mark.parametrize(("label", "said"), [("true", "1"), ("false", "0")])
def test_an_alarm_labels_its_wrong_rows_from_the_first_on_and_no_normal_one(
    store: Store, database: Database, served: Served, label: str, said: str
) -> None:
    wrong = (10, 12, 13, 14, 15)
    store.write([row(served, float(one), one in wrong) for one in range(60)])
    mark(database, label, 100)
    assert told(database) == [("anomaly", said)] * 5


def test_a_chattering_alarm_labels_none_of_its_quiet_times(
    store: Store, database: Database, served: Served
) -> None:
    for start in range(0, 400, 100):
        store.write([row(served, float(start + one), one < 3) for one in range(100)])
    mark(database, "true", 400)
    assert told(database) == [("anomaly", "1")] * 6  # the third occurrence, which chatters


def test_an_alarm_that_is_marked_while_it_goes_on_is_marked_to_its_end(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one), True) for one in range(5)])
    mark(database, "true", 6)
    store.write([row(served, 10.0 + one, True) for one in range(50)])
    store.write([row(served, 60.0 + one) for one in range(20)])
    assert told(database) == [("anomaly", "1")] * 55


def test_labelled_rows_stay_when_others_go_by_age_or_by_size(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one), 10 <= one < 15) for one in range(60)])
    mark(database, "true", 100)
    with database.write() as connection:
        by = By(at(100), "", "mika")
        actions.annotate(connection, "press-01", at(20), at(29), "blunt tool", by, "true")
    kept = told(database)
    assert len(kept) == 15
    Retention(trends_days=15).tidy(database, at(20 * DAY))
    assert told(database) == kept
    Retention(rows_days=0, trends_days=0, gigabytes=1e-9).tidy(database, at(100))
    assert told(database) == kept


def test_thousands_of_labels_can_be_exported_and_counted(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one)) for one in range(1500)])
    told_of = {"source_id": 1, "label": "normal", "at": at(0), "who": "mika", "comment": ""}
    with database.write() as connection:
        spans = [told_of | {"start": at(one), "end": at(one)} for one in range(1500)]
        connection.execute(insert(labels), spans)
    assert count(database, labels) == 1500
    assert told(database) == [("normal", "0")] * 1500
    with database.read() as connection:
        assert labelled(connection, served.bundle.hash, 1.0).false_rows == 1500
