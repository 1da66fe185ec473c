"""What time alone changes, and what is let go of."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import select

from serving.alarms.rules import Rules, rules_of
from serving.following.detectors import Served
from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.history.retention import Retention
from serving.history.store import Store
from serving.history.tables import DAY, MINUTE, alarms, audit, trends, verdicts
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
