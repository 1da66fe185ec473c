"""What /metrics says of notifications, from what the process that sends leaves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from serving.attendant import Attendant
from serving.errors import HistoryUnavailable
from serving.history.database import Database
from serving.notify import deliveries, figures
from serving.notify.tally import GONE
from serving.settings import Settings
from tests.serving.notify.conftest import NOW, payload, put
from tests.serving.notify.test_dispatcher import STOPPING, Clock, Noted, dispatcher


@pytest.fixture
def clock() -> Clock:
    return Clock()


def values(told: dict[str, Any], family: str, **labels: str) -> float:
    """The sum over the series whose labels have these values."""
    found = told[f"kizashi_{family}"]
    return sum(float(value) for names, value in found if set(labels.values()) <= set(names))


def test_what_became_of_notifications_is_counted_from_zero_and_tests_are_not(
    database: Database, clock: Clock
) -> None:
    line, mail = Noted("line", "line_stop", machine=True), Noted()
    sending = dispatcher(database, clock, line, mail, rules=STOPPING)
    told = sending.tally.counters()
    assert values(told, "line_stops_total", channel="line", outcome="given_up") == 0
    assert ("mail", "mail", "given_up") in dict(told["kizashi_notifications_total"])
    line.failures = 100
    put(database, payload(1), payload(2, event="test", tag="maintenance", alarm_id=0))
    sending.route()
    for _ in range(3):
        sending.serve(mail)
        sending.serve(line)
    clock.now += 61
    sending.serve(line)
    told = sending.tally.counters()
    assert values(told, "notifications_total", channel="mail", outcome="sent") == 1
    assert values(told, "notifications_total", channel="line", outcome="given_up") == 1
    assert values(told, "line_stops_total", channel="line", outcome="given_up") == 1
    assert values(told, "line_stops_total", outcome="sent") == 0
    assert values(told, "notification_failures_total", channel="line") == 1


def test_what_is_summed_up_and_what_was_for_channels_that_are_gone_is_counted_too(
    database: Database, clock: Clock
) -> None:
    put(database, payload(0))
    dispatcher(database, clock, Noted("old", "line_stop"), rules=STOPPING).route()
    mail = Noted()
    sending = dispatcher(database, clock, mail, per_minute=2)
    put(database, *(payload(number) for number in range(1, 5)))
    sending.route()
    sending.serve(mail)
    told = sending.tally.counters()
    assert values(told, "notifications_total", channel="mail", outcome="summed") == 3
    assert values(told, "notifications_total", channel=GONE, outcome="given_up") == 1
    assert values(told, "line_stops_total", channel=GONE, outcome="given_up") == 1


def test_what_was_for_a_channel_that_is_gone_is_given_up_at_the_next_try_where_one_is_undone(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, payload(0), payload(1, event="test", tag="maintenance", alarm_id=0))
    dispatcher(database, clock, Noted("old")).route()
    sending, write = dispatcher(database, clock, Noted()), database.write

    @contextmanager
    def undone() -> Iterator[Connection]:
        with write() as connection:
            yield connection
            raise HistoryUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", undone)
        with pytest.raises(HistoryUnavailable):
            sending.route()
    assert values(sending.tally.counters(), "notifications_total", channel=GONE) == 0
    sending.route()
    told = sending.tally.counters()
    assert values(told, "notifications_total", channel=GONE, outcome="given_up") == 1
    with database.read() as connection:
        assert deliveries.waiting_steps(connection) == set()


def test_how_many_wait_and_how_long_the_oldest_has_goes_by_no_time_of_day(
    database: Database, clock: Clock
) -> None:
    mail, hook = Noted(), Noted("hook", machine=True)
    mail.failures = 100
    sending = dispatcher(database, clock, mail, hook)
    put(database, payload(1), payload(2))
    sending.route()
    sending.serve(mail)
    for _ in range(2):
        sending.serve(hook)
    clock.now += 30
    clock.ahead += 86_400
    assert sending.waiting() == [("mail", 2, 30.0), ("hook", 0, 0.0)]


def test_the_attendant_leaves_what_waits_and_what_nobody_knows_of(
    database: Database, tmp_path: Path
) -> None:
    mail = Noted()
    settings = Settings.model_validate({"cache": tmp_path})
    attendant = Attendant(settings, [mail], database, STOPPING)
    assert values(figures.found(tmp_path).gauges, "notifications_sending") == 0
    attendant.tell()
    assert values(figures.found(tmp_path).gauges, "notifications_sending") == 0
    put(database, payload(1), created=NOW)
    attendant.renew()
    attendant._dispatcher.route()
    attendant.tell()
    told = figures.found(tmp_path)
    assert values(told.gauges, "notifications_sending") == 1
    assert values(told.gauges, "notifications_waiting", channel="mail") == 1
    assert values(told.gauges, "notifications_unseen", stop="false") == 0
    attendant._dispatcher.manners = type(attendant._dispatcher.manners)(hours=1e-9)
    attendant._dispatcher.serve(mail)
    attendant.tell()
    told = figures.found(tmp_path)
    assert values(told.gauges, "notifications_waiting", channel="mail") == 0
    assert values(told.gauges, "notifications_unseen", stop="false") == 1
    assert values(told.counters, "notifications_total", outcome="given_up") == 1


@pytest.mark.parametrize("later", [16.0, -3600.0])
def test_what_an_ended_process_left_is_believed_for_seconds_only(
    tmp_path: Path, later: float
) -> None:
    left: dict[str, figures.Values] = {"kizashi_notifications_sending": [((), 1.0)]}
    figures.leave(tmp_path, {}, left)
    assert figures.found(tmp_path).gauges == left
    told = figures.found(tmp_path, lambda: time.monotonic() + later)
    assert told.gauges == {"kizashi_notifications_sending": [((), 0.0)]}
    (tmp_path / figures.FILE).write_bytes(b"half of it")
    assert values(figures.found(tmp_path).gauges, "notifications_sending") == 0
