"""What groups of records do to a database, SQLite and PostgreSQL alike."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import Table, select

from serving.alarms.desk import Payload
from serving.alarms.rules import Rules
from serving.errors import HistoryUnavailable
from serving.following.detectors import Served
from serving.history.database import Database
from serving.history.record import MICROSECONDS, Batch, Row
from serving.history.store import Store
from serving.history.tables import (
    ANOMALY,
    ARRIVAL,
    HOUR,
    LATE,
    MINUTE,
    OUT_OF_RANGE,
    STUCK,
    alarms,
    audit,
    batches,
    models,
    occurrences,
    outbox,
    sources,
    trends,
    verdicts,
)
from serving.history.trends import unpacked
from serving.verdicts.scoring import Origin
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.history.conftest import array, count

START = 1_800_000_000.0
"""Some moment, in seconds, that begins a minute."""


def row(
    served: Served,
    at: float,
    anomaly: bool = False,
    source: str | None = "press-01",
    timestamp: str | None = None,
    values: Sequence[float] | None = None,
) -> Row:
    told = list(values or (ANOMALOUS_ROW if anomaly else NORMAL_ROW))
    origin = Origin("anomaly", f"request-{at:.3f}", source, timestamp)
    score, window = (3.5, array(told)) if anomaly else (0.01, None)
    return Row(served, origin, START + at, array(told)[0], score, anomaly, window)


def batch(served: Served, rows: list[list[float]], source: str | None = None) -> Batch:
    values_NF = np.array(rows)
    anomaly_N = values_NF[:, 1] > 1.5
    loudest = np.flatnonzero(anomaly_N)
    return Batch(
        served,
        Origin("batch", "request-b", source),
        START,
        values_NF,
        np.where(anomaly_N, 3.5, 0.01),
        anomaly_N,
        loudest,
        values_NF[loudest][:, None],
    )


def iso(at: float) -> str:
    return datetime.fromtimestamp(START + at, UTC).isoformat()


def rows_of(database: Database, table: Table) -> list[Any]:
    with database.read() as connection:
        order = table.c.id if "id" in table.c else table.c.start
        return list(connection.execute(select(table).order_by(order)).all())


def states(database: Database) -> dict[str, str]:
    return {one.kind: one.state for one in rows_of(database, alarms)}


def test_a_verdict_is_kept_with_all_there_is_to_say_of_it(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, 0.0, timestamp=iso(-2.5)), row(served, 1.0, anomaly=True)])
    normal, anomaly = rows_of(database, verdicts)
    assert (normal.time, normal.arrived) == (
        round((START - 2.5) * MICROSECONDS),
        round(START * MICROSECONDS),
    )
    assert (normal.flags, normal.severity, normal.detail) == (0, None, None)
    assert (normal.values, normal.request_id) == ("[1.2,0.9,1.1]", "request-0.000")
    assert (anomaly.flags, anomaly.score) == (ANOMALY | ARRIVAL, 3.5)
    assert 0 < anomaly.p_value < 0.01 < anomaly.severity <= 1
    share = msgspec.json.decode(anomaly.detail)["share"]
    assert abs(sum(share) - 1) < 0.01
    (model,) = rows_of(database, models)
    assert (model.name, model.version, model.bundle) == ("press-line", "3", served.bundle.hash)
    assert [one["name"] for one in msgspec.json.decode(model.sensors)] == [
        *("vibration", "current", "sound")
    ]


def test_an_alarm_begins_is_told_and_ends_in_the_transactions_of_its_rows(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, at, anomaly=True) for at in (0.0, 1.0)])
    assert count(database, outbox) == 0
    store.write([row(served, 2.0, anomaly=True)])
    assert states(database) == {"anomaly": "unacknowledged"}
    (told,) = rows_of(database, outbox)
    payload = msgspec.json.decode(told.payload, type=Payload)
    assert (payload.event, payload.source, payload.kind) == ("began", "press-01", "anomaly")
    assert (payload.state, payload.priority, payload.model) == (
        *("unacknowledged", "medium", "press-line"),
    )
    assert payload.key == told.key
    assert payload.sensor in ("vibration", "current", "sound")
    store.write([row(served, 3.0 + at) for at in range(10)])
    assert states(database) == {"anomaly": "returned_unacknowledged"}
    (occurrence,) = rows_of(database, occurrences)
    assert occurrence.ended == round((START + 12.0) * MICROSECONDS)
    assert [one.event for one in rows_of(database, audit)] == ["began", "ended"]


def test_a_late_row_takes_its_own_place_and_touches_no_alarm(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, 7200.0)])
    late = [row(served, 7201.0 + at, True, timestamp=iso(at)) for at in range(5)]
    store.write([late[0], row(served, 7202.0), *late[1:], row(served, 7210.0)])
    assert count(database, alarms) == 0
    kept = rows_of(database, verdicts)
    assert [bool(one.flags & LATE) for one in kept] == [False, True, False, *[True] * 4, False]
    minutes = [one for one in rows_of(database, trends) if one.resolution == MINUTE]
    assert [(one.rows, one.anomalies) for one in minutes] == [(5, 5), (3, 0)]
    (source,) = rows_of(database, sources)
    assert source.newest == round((START + 7210.0) * MICROSECONDS)


def test_a_source_whose_clock_was_put_back_raises_alarms_again_after_a_minute(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, 0.0, timestamp=iso(0.0))])
    back = [row(served, 1.0 + at, True, timestamp=iso(at - 3600)) for at in range(70)]
    store.write(back[:30])
    assert count(database, alarms) == 0
    store.write(back[30:])
    assert states(database) == {"anomaly": "unacknowledged"}


def test_a_time_that_cannot_be_is_replaced_by_the_arrival(
    store: Store, database: Database, served: Served
) -> None:
    impossible = (
        "1970-01-01T00:00:00Z",
        iso(3600),
        "9999-12-31T23:59:59Z",
        "yesterday",
        iso(0)[:-6],
    )
    store.write([row(served, float(at), timestamp=time) for at, time in enumerate(impossible)])
    for at, one in enumerate(rows_of(database, verdicts)):
        assert one.flags & ARRIVAL
        assert one.time == round((START + at) * MICROSECONDS)


def test_a_batch_is_one_summary_and_its_anomalies(
    store: Store, database: Database, served: Served
) -> None:
    store.write([batch(served, [NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW, ANOMALOUS_ROW])])
    (summary,) = rows_of(database, batches)
    assert (summary.rows, summary.anomalies, summary.score_max) == (4, 2, 3.5)
    kept = rows_of(database, verdicts)
    assert [(one.position, one.batch_id) for one in kept] == [(1, summary.id), (3, summary.id)]
    assert all(one.detail for one in kept)


def test_a_batch_that_comes_in_pieces_is_one_summary(
    store: Store, database: Database, served: Served
) -> None:
    first = batch(served, [NORMAL_ROW, ANOMALOUS_ROW])
    second = first._replace(arrived=START + 0.1)
    store.write([first, second])
    store.write([batch(served, [NORMAL_ROW, ANOMALOUS_ROW])._replace(origin=first.origin)])
    (summary,) = rows_of(database, batches)
    assert (summary.rows, summary.anomalies, summary.score_mean) == (6, 3, (3.5 + 0.01) / 2)
    assert [one.position for one in rows_of(database, verdicts)] == [1, 3, 5]


def test_every_row_of_a_batch_is_kept_where_that_is_asked_for(
    database: Database, rules: Rules, served: Served
) -> None:
    Store(database, rules, "full").write([batch(served, [NORMAL_ROW, ANOMALOUS_ROW])])
    assert [one.position for one in rows_of(database, verdicts)] == [0, 1]


def test_only_a_batch_with_a_source_says_how_a_machine_is(
    store: Store, database: Database, served: Served
) -> None:
    store.write([batch(served, [ANOMALOUS_ROW] * 5)])
    assert (count(database, alarms), count(database, trends)) == (0, 0)
    store.write([batch(served, [ANOMALOUS_ROW] * 5, source="press-07")])
    assert states(database) == {"anomaly": "unacknowledged"}
    assert {one.rows for one in rows_of(database, trends)} == {5}


def test_trends_tell_of_minutes_hours_and_days(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, at) for at in (0.0, 59.0, 60.0)])
    store.write([row(served, 61.0, True, values=[1.0, float("nan"), 3.0])])
    told = {(one.resolution, one.start): one for one in rows_of(database, trends)}
    first, second = sorted(key for key in told if key[0] == MINUTE)
    assert (told[first].rows, told[second].rows, told[second].anomalies) == (2, 2, 1)
    (hour,) = (one for key, one in told.items() if key[0] == HOUR)
    assert hour.rows == 4
    np.testing.assert_allclose(
        unpacked(hour.sensors),
        np.array([[4, 3, 4], [4.6, 2.7, 6.3], [1.0, 0.9, 1.1], [1.2, 0.9, 3.0]]),
    )


def test_bad_data_is_an_alarm_of_its_own(store: Store, database: Database, served: Served) -> None:
    missing = [row(served, float(at), values=[1.2, float("nan"), 1.1]) for at in range(3)]
    store.write(missing)
    assert states(database) == {"data_quality": "unacknowledged"}
    (occurrence,) = rows_of(database, occurrences)
    assert (occurrence.sensor, occurrence.reason) == ("current", "current: missing")
    store.write([row(served, 20.0, True, values=[1.2, 0.9, 99.0])])
    assert rows_of(database, verdicts)[-1].flags & OUT_OF_RANGE


def test_a_lively_sensor_that_repeats_itself_is_stuck_and_one_that_rests_is_not(
    store: Store, database: Database, served: Served
) -> None:
    rng = np.random.default_rng(0)
    moving = [[1.2 + noise, 0.9, 1.1 + noise] for noise in rng.normal(0, 0.01, 400)]
    stuck = [[1.2, 0.9, 1.1 + noise] for noise in rng.normal(0, 0.01, 310)]
    for first in range(0, 710, 50):  # across groups, as rows come
        piece = [*moving, *stuck][first : first + 50]
        store.write([row(served, float(first + at), values=one) for at, one in enumerate(piece)])
    flags = [one.flags & STUCK for one in rows_of(database, verdicts)]
    assert not any(flags[:700])
    assert all(flags[701:])
    (occurrence,) = rows_of(database, occurrences)
    assert (occurrence.kind, occurrence.sensor) == ("data_quality", "vibration")


def test_a_new_source_warms_up_before_it_raises_an_alarm(
    database: Database, served: Served
) -> None:
    store = Store(database, Rules())
    store.write([row(served, float(at), True) for at in range(9)])
    assert states(database) == {"anomaly": "normal"}
    store.write([row(served, 10.0, True)])
    assert states(database) == {"anomaly": "unacknowledged"}


def test_what_one_store_knows_of_a_failed_transaction_it_does_not_believe(
    store: Store, database: Database, served: Served
) -> None:
    endless = row(served, 0.0)._replace(score=2**70)  # no column takes it
    with pytest.raises((HistoryUnavailable, OverflowError)):
        store.write([endless._replace(values_F=np.full(3, 2.0**1000), arrived=1e30)])
    store.write([row(served, 1.0)])
    assert count(database, verdicts) == count(database, sources) == count(database, models) == 1
