import threading
from typing import Any

import pytest
from sqlalchemy import select

from serving.alarms.rules import Rules, rules_of
from serving.history.database import Database
from serving.history.tables import deliveries
from serving.notify.channels import Channel, NotDelivered
from serving.notify.dispatcher import Dispatcher, Dispatching, Manners
from serving.notify.message import Message
from tests.serving.notify.conftest import NOW, payload, put, until

STOPPING = rules_of({"sources": {"press-01": {"notify": {"line_stop": True}}}}, "rules")


class Noted(Channel):
    """A channel that notes what it is sent, and fails as often as it is told to."""

    def __init__(self, name: str = "mail", *tags: str, machine: bool = False) -> None:
        self.id, self.name = name, name
        self.tags = frozenset(tags or ("maintenance",))
        self.machine = machine
        self.sent: list[Message] = []
        self.attempts: list[str] = []
        self.failures = 0
        self.hangs = threading.Event()
        self.hangs.set()

    def open(self) -> None:
        pass

    def send(self, message: Message) -> None:
        self.attempts.append(message.key)
        self.hangs.wait()
        if self.failures > 0:
            self.failures -= 1
            raise NotDelivered("the receiver answered 503")
        self.sent.append(message)

    def close(self) -> None:
        pass


class Clock:
    """The time of day, `ahead` of what has passed, which `ticks` tells."""

    def __init__(self) -> None:
        self.now = NOW / 1e6
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.now + self.ahead

    def ticks(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(deliveries).order_by(deliveries.c.id)))


def states(database: Database) -> list[str]:
    return [row.state for row in rows(database)]


def dispatcher(
    database: Database, clock: Clock, *channels: Channel, rules: Rules | None = None, **said: Any
) -> Dispatcher:
    return Dispatcher(database, rules or Rules(), channels, Manners(**said), clock, clock.ticks)


def test_each_step_reaches_each_of_its_channels_once(database: Database, clock: Clock) -> None:
    mail, hook = Noted(), Noted("hook", machine=True)
    sending = dispatcher(database, clock, mail, hook)
    put(database, payload(1), payload(2, event="ended", state="normal"))
    assert sending.route() == 2
    assert sending.route() == 0
    for channel in (mail, hook) * 3:
        sending.serve(channel)
    assert [one.document["event"] for one in mail.sent] == ["began", "ended"]
    assert [one.document["event"] for one in hook.sent] == ["began", "ended"]
    assert states(database) == ["sent"] * 4
    keys = [one.key for one in mail.sent + hook.sent]
    assert len(set(keys)) == 4


def test_what_failed_is_sent_again_later_with_the_same_key(
    database: Database, clock: Clock
) -> None:
    mail = Noted()
    mail.failures = 2
    sending = dispatcher(database, clock, mail)
    put(database, payload(1))
    sending.route()
    sending.serve(mail)
    sending.serve(mail)  # too early
    assert len(mail.attempts) == 1
    clock.now += 2.1
    sending.serve(mail)
    clock.now += 2.1  # the pause has doubled
    sending.serve(mail)
    assert len(mail.attempts) == 2
    clock.now += 2.1
    sending.serve(mail)
    assert len(set(mail.attempts)) == 1
    assert len(mail.sent) == 1
    (row,) = rows(database)
    assert (row.state, row.attempts) == ("sent", 3)


def test_a_crash_after_sending_sends_again_with_the_same_key(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = Noted()
    sending = dispatcher(database, clock, mail)
    put(database, payload(1))
    sending.route()
    with monkeypatch.context() as patch:
        patch.setattr("serving.notify.deliveries.close", crash)
        with pytest.raises(SystemExit):
            sending.serve(mail)
    dispatcher(database, clock, mail).serve(mail)
    assert len(mail.sent) == 2
    assert len({one.key for one in mail.sent}) == 1
    assert states(database) == ["sent"]


def crash(*_: object) -> None:
    raise SystemExit


def test_messages_of_a_channel_keep_their_order(database: Database, clock: Clock) -> None:
    mail = Noted()
    mail.failures = 1
    sending = dispatcher(database, clock, mail)
    put(database, payload(1), payload(2, event="ended", state="normal"))
    sending.route()
    sending.serve(mail)
    sending.serve(mail)
    assert mail.sent == []
    clock.now += 3
    sending.serve(mail)
    sending.serve(mail)
    assert [one.document["event"] for one in mail.sent] == ["began", "ended"]


def test_a_flood_reaches_people_as_a_summary_and_machines_whole(
    database: Database, clock: Clock
) -> None:
    mail, hook = Noted(), Noted("hook", machine=True)
    sending = dispatcher(database, clock, mail, hook, per_minute=5)
    put(database, *(payload(number, source=f"press-{number}") for number in range(12)))
    sending.route()
    for _ in range(12):
        sending.serve(mail)
        sending.serve(hook)
    assert len(hook.sent) == 12
    (told,) = mail.sent
    assert told.title == "12 alarm messages in a short time"
    assert "press-11" in told.body
    assert states(database).count("summed") == 11


def test_people_get_no_more_than_so_many_a_minute(database: Database, clock: Clock) -> None:
    mail = Noted()
    sending = dispatcher(database, clock, mail, per_minute=2)
    for number in range(4):
        put(database, payload(number))
        sending.route()
        sending.serve(mail)
    assert len(mail.sent) == 2
    clock.now += 61
    for _ in range(3):
        sending.serve(mail)
    assert len(mail.sent) == 4


def test_a_line_stop_goes_first_and_is_not_sent_late(database: Database, clock: Clock) -> None:
    line = Noted("line", "line_stop", "maintenance", machine=True)
    sending = dispatcher(database, clock, line, rules=STOPPING)
    put(database, payload(1, event="chattering"), payload(2))
    sending.route()
    sending.serve(line)
    assert [one.stops for one in line.sent] == [True]

    put(database, payload(3))
    sending.route()
    clock.now += 61
    sending.serve(line)
    sending.serve(line)
    assert [one.stops for one in line.sent] == [True, False]
    assert states(database)[-1] == "given_up"


def test_after_so_many_hours_a_message_is_given_up_and_the_next_ones_go(
    database: Database, clock: Clock
) -> None:
    mail = Noted()
    mail.failures = 1
    sending = dispatcher(database, clock, mail, hours=1)
    put(database, payload(1))
    sending.route()
    sending.serve(mail)
    clock.now += 3601
    put(database, payload(2), created=round(clock.now * 1e6))
    sending.route()
    sending.serve(mail)
    assert states(database) == ["given_up", "sent"]
    assert [one.document["id"] for one in mail.sent] != []


def test_a_dry_run_sends_nothing_and_says_what_it_would(
    database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    mail = Noted()
    sending = dispatcher(database, clock, mail, dry_run=True)
    put(database, payload(1))
    sending.route()
    with caplog.at_level("INFO", "serving"):
        sending.serve(mail)
    assert mail.sent == []
    assert states(database) == ["unsent"]
    assert "mail would get: [HIGH] press-01: anomaly alarm began" in caplog.text


def test_what_waits_for_a_channel_that_is_gone_is_given_up(
    database: Database, clock: Clock
) -> None:
    put(database, payload(1))
    dispatcher(database, clock, Noted("old")).route()
    dispatcher(database, clock, Noted("new")).route()
    (row,) = rows(database)
    assert (row.state, row.channel) == ("given_up", "old")


def test_a_channel_that_hangs_delays_no_other(database: Database, clock: Clock) -> None:
    slow, quick = Noted("slow"), Noted("quick")
    slow.hangs.clear()
    sending = Dispatching(dispatcher(database, clock, slow, quick), lambda: True)
    put(database, payload(1))
    sending.start()
    try:
        until(lambda: slow.attempts and quick.sent)
        assert slow.sent == []
        slow.hangs.set()
        until(lambda: states(database) == ["sent", "sent"])
    finally:
        slow.hangs.set()
        sending.close(5)


def test_without_the_lease_nothing_is_sent(database: Database, clock: Clock) -> None:
    mail, allowed = Noted(), threading.Event()
    sending = Dispatching(dispatcher(database, clock, mail), allowed.is_set)
    put(database, payload(1))
    sending.start()
    try:
        allowed.wait(0.7)
        assert rows(database) == [] and mail.sent == []
        allowed.set()
        until(lambda: mail.sent)
    finally:
        sending.close(5)


@pytest.mark.parametrize("jump", [-86_400.0, -3600.0, 61.0, 2 * 86_400.0])
def test_a_clock_that_is_set_gives_up_no_stop_and_delays_no_retry(
    database: Database, clock: Clock, jump: float
) -> None:
    line = Noted("line", "line_stop", machine=True)
    mail = Noted()
    line.failures = mail.failures = 1
    sending = dispatcher(database, clock, line, mail, rules=STOPPING)
    sending.route()
    clock.now += 0.5
    put(database, payload(1), created=round(clock() * 1e6))
    clock.ahead += jump
    sending.route()
    for channel in (line, mail):
        sending.serve(channel)
    clock.now += 2.1
    for channel in (line, mail):
        sending.serve(channel)
    assert [len(one.sent) for one in (line, mail)] == [1, 1]


@pytest.mark.parametrize("jump", [-3600.0, 0.0, 3600.0])
def test_a_stop_is_given_up_after_a_minute_whatever_the_clock_did(
    database: Database, clock: Clock, jump: float
) -> None:
    line = Noted("line", "line_stop", machine=True)
    line.failures = 1
    sending = dispatcher(database, clock, line, rules=STOPPING)
    put(database, payload(1), created=round(clock() * 1e6))
    sending.route()
    sending.serve(line)
    clock.ahead += jump
    clock.now += 59
    sending.serve(line)
    assert states(database) == ["sent"]
    line.failures = 1
    put(database, payload(2), created=round(clock() * 1e6))
    sending.route()
    sending.serve(line)
    clock.now += 61
    sending.serve(line)
    assert states(database) == ["sent", "given_up"]


@pytest.mark.parametrize("priority", ["high", "critical"])
def test_a_loud_alarm_does_not_wait_for_the_limit_of_the_others(
    database: Database, clock: Clock, priority: str
) -> None:
    mail = Noted()
    sending = dispatcher(database, clock, mail, per_minute=3)
    for number in range(3):
        put(database, payload(number, priority="low"))
        sending.route()
        sending.serve(mail)
    put(database, payload(8, priority="medium"), payload(9, priority=priority, source="fire"))
    sending.route()
    sending.serve(mail)
    assert [one.document["source"] for one in mail.sent][3:] == ["fire"]
    clock.now += 61
    sending.serve(mail)
    assert len(mail.sent) == 5


def test_what_people_wrote_makes_no_message_louder(database: Database, clock: Clock) -> None:
    mail = Noted()
    sending = dispatcher(database, clock, mail)
    loud = '"priority":"critical"'
    put(database, payload(1, priority="low"), payload(2, priority="low", why=loud))
    sending.route()
    sending.serve(mail)
    sending.serve(mail)
    assert [one.document["why"] for one in mail.sent] == ["", loud]
