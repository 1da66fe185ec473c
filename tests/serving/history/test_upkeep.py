"""What time alone changes, and what is let go of."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import create_engine, insert, select, text

from serving.alarms.rules import Rules, rules_of
from serving.following.detectors import Served
from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.history.retention import GIGABYTE, Retention
from serving.history.room import size
from serving.history.store import Store
from serving.history.tables import DAY, MINUTE, alarms, audit, outbox, trends, verdicts
from serving.history.upkeep import Upkeep
from tests.serving.history.conftest import count
from tests.serving.history.test_store import START, row, states

HOUR = 3600.0


def at(seconds: float) -> int:
    return round((START + seconds) * MICROSECONDS)


def test_a_source_that_falls_silent_is_an_alarm_until_it_sends_again(
    store: Store, database: Database, served: Served, rules: Rules
) -> None:
    store.write([row(served, float(second)) for second in range(120)])
    upkeep = Upkeep(database, rules, Retention())
    upkeep.once(at(0))  # the service listens since before
    upkeep.once(at(150))
    assert states(database) == {}
    upkeep.once(at(200))
    upkeep.once(at(300))
    assert states(database) == {"silence": "unacknowledged"}
    store.write([row(served, 310.0)])
    assert states(database) == {"silence": "returned_unacknowledged"}
    assert count(database, audit) == 2


def test_a_service_that_was_away_itself_waits_before_it_calls_a_source_silent(
    store: Store, database: Database, served: Served, rules: Rules
) -> None:
    store.write([row(served, float(second)) for second in range(120)])
    upkeep = Upkeep(database, rules, Retention())
    for seconds in (HOUR, HOUR + 50):
        upkeep.once(at(seconds))
    assert states(database) == {}
    upkeep.once(at(HOUR + 70))
    assert states(database) == {"silence": "unacknowledged"}


def test_chattering_settles_by_time_alone(
    store: Store, database: Database, served: Served, rules: Rules
) -> None:
    now = 0.0
    for _ in range(4):
        for anomaly, rows in ((True, 3), (False, 10)):
            store.write([row(served, now + step, anomaly) for step in range(rows)])
            now += rows
    with database.read() as connection:
        events = list(connection.execute(select(audit.c.event).order_by(audit.c.id)).scalars())
    assert events == ["began", "ended", "began", "ended", "began", "chattering"]
    upkeep = Upkeep(database, rules, Retention())
    upkeep.once(at(now + 500))
    assert states(database) == {"anomaly": "unacknowledged"}
    upkeep.once(at(now + 700))
    assert states(database) == {"anomaly": "returned_unacknowledged"}


def test_what_rules_suppress_is_hidden_by_them_and_shown_without_them(
    database: Database, served: Served
) -> None:
    told = {"warm_up": {"seconds": 0}, "suppressed": ["anomaly"]}
    suppressing = rules_of({"default": told}, "rules")
    Store(database, suppressing).write([row(served, float(one), True) for one in range(4)])
    assert states(database) == {"anomaly": "suppressed"}
    Upkeep(database, Rules(), Retention()).once(at(10))
    assert states(database) == {"anomaly": "unacknowledged"}
    Upkeep(database, suppressing, Retention()).once(at(20))
    assert states(database) == {"anomaly": "suppressed"}


def test_normal_rows_go_by_age_and_their_trends_and_anomalies_stay(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one), anomaly=one % 10 == 0) for one in range(100)])
    later = at(20 * DAY)
    Retention(rows_days=14).tidy(database, later)
    with database.read() as connection:
        flags = list(connection.execute(select(verdicts.c.flags.op("&")(1))).scalars())
        rows = connection.execute(select(trends.c.rows)).scalars().all()
    assert flags == [1] * 10
    assert sum(rows) == 3 * 100
    Retention(rows_days=14, trends_days=15).tidy(database, later)
    assert count(database, verdicts) == 0
    with database.read() as connection:
        assert MINUTE not in connection.execute(select(trends.c.resolution)).scalars().all()
    assert count(database, trends) > 0


def test_beyond_its_size_the_oldest_normal_rows_go_first(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one), anomaly=one % 10 == 0) for one in range(500)])
    gone = Retention(rows_days=0, trends_days=0, gigabytes=1e-9).tidy(database, at(0), pieces=1)
    assert gone == count_normal(500)
    assert count(database, verdicts) == 50
    assert Retention(rows_days=0, trends_days=0).tidy(database, at(10_000 * DAY)) == 0


def test_beyond_its_size_no_more_goes_than_has_to(
    store: Store, database: Database, served: Served
) -> None:
    for group in range(20):
        store.write([row(served, group * 1000.0 + one) for one in range(1000)])
    _vacuum(database)
    with database.read() as connection:
        limit = 0.9 * size(connection, database) / GIGABYTE
    retention = Retention(rows_days=0, trends_days=0, gigabytes=limit, settle_seconds=0.5)
    for _ in range(4):
        retention.tidy(database, at(100_000))
        _vacuum(database)
        time.sleep(0.6)
    assert 0.8 * 20_000 <= count(database, verdicts) <= 0.9 * 20_000


def _vacuum(database: Database) -> None:
    """What autovacuum does, when what connections have yet to tell of their rows is told."""
    if not database.sqlite:
        database.dispose()
        engine = create_engine(database.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()


def test_minutes_go_before_anomalies_where_they_take_the_room(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one), anomaly=one % 10 == 0) for one in range(500)])
    minute: dict[str, Any] = {
        "source_id": 1,
        "resolution": MINUTE,
        "model_id": 1,
        "rows": 1,
        "anomalies": 0,
    }
    minute |= {"score_sum": 1.0, "score_max": 1.0, "sensors": b"0" * 512}
    first = at(0) - 20_000 * MINUTE * MICROSECONDS
    with database.write() as connection:
        starts = [first + one * MINUTE * MICROSECONDS for one in range(10_000)]
        connection.execute(insert(trends), [minute | {"start": start} for start in starts])
    _vacuum(database)
    with database.read() as connection:
        limit = 0.5 * size(connection, database) / GIGABYTE
    retention = Retention(rows_days=0, trends_days=0, gigabytes=limit)
    retention.tidy(database, at(600))
    assert count(database, verdicts) == 50
    assert 3_000 < count(database, trends) < 6_000


def test_steps_that_nobody_takes_go_by_age_where_nothing_is_notified(
    store: Store, database: Database, served: Served
) -> None:
    store.write([row(served, float(one), True) for one in range(4)])
    later = at(20 * DAY)
    Retention().tidy(database, later)
    assert count(database, outbox) == 1
    Retention(notifies=False).tidy(database, at(10 * DAY))
    assert count(database, outbox) == 1
    Retention(notifies=False).tidy(database, later)
    assert count(database, outbox) == 0


def count_normal(rows: int) -> int:
    return rows - rows // 10


def test_shelves_that_run_out_are_told_once_however_many_look(
    store: Store,
    address: str,
    open_database: Callable[[str], Database],
    served: Served,
    rules: Rules,
) -> None:
    from serving.alarms.actions import shelve
    from serving.alarms.desk import By

    database = open_database(address)
    store.write([row(served, float(one), True) for one in range(4)])
    by = By(at(10), "cleaning", "mika", until=at(100))
    with database.write() as connection:
        shelve(connection, rules, "press-01", "anomaly", by)
        again = replace(by, at=at(20), until=at(200))
        shelve(connection, rules, "press-01", "anomaly", again)
    for seconds in (150, 201, 202):
        Upkeep(open_database(address), rules, Retention()).once(at(seconds))
    with database.read() as connection:
        events = list(connection.execute(select(audit.c.event).order_by(audit.c.id)).scalars())
        (alarm,) = connection.execute(select(alarms)).all()
    assert events == ["began", "shelved", "shelved", "shelf_expired"]
    assert (alarm.state, alarm.due) == ("unacknowledged", None)
