"""Notifications as people see them: the channels, how they fare, and tests of them."""

import pytest

from serving.alarms.rules import Rules
from serving.errors import Conflict, NotFound
from serving.history.database import Database
from serving.history.views import moment
from serving.notify import board
from serving.notify.board import Board, Outcome
from serving.notify.dispatcher import Dispatcher, Manners
from tests.serving.notify.conftest import NOW, payload, put
from tests.serving.notify.test_dispatcher import STOPPING, Clock, Noted, dispatcher


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shown(database: Database, *channels: Noted, dry_run: bool = False) -> None:
    with database.write() as connection:
        board.publish(connection, channels, dry_run)


def look(database: Database) -> Board:
    with database.read() as connection:
        return board.board(connection)


def order(database: Database, tag: str, now: int = NOW) -> int:
    with database.write() as connection:
        return board.order_test(connection, tag, "anna", now)


def told(database: Database, number: int) -> list[Outcome] | None:
    with database.read() as connection:
        return board.tested(connection, number)


def serve(sending: Dispatcher, *channels: Noted) -> None:
    sending.route()
    for channel in channels:
        sending.serve(channel)


def test_the_channels_are_shown_in_their_order_with_their_tags(database: Database) -> None:
    shown(database, Noted("pager", "night", "maintenance"), Noted("plc", "line_stop", machine=True))
    found = look(database)
    assert [one.name for one in found.channels] == ["pager", "plc"]
    assert found.tags == ["line_stop", "maintenance", "night"]
    assert [one.machine for one in found.channels] == [False, True]
    shown(database, Noted("pager", "night"))
    assert look(database).tags == ["night"]


def test_how_a_channel_fares_is_told_also_after_it_has_recovered(
    database: Database, clock: Clock
) -> None:
    mail = Noted()
    shown(database, mail)
    sending = dispatcher(database, clock, mail)
    put(database, payload(1), payload(2))
    mail.failures = 1
    serve(sending, mail)
    (channel,) = look(database).channels
    assert (channel.waiting, channel.sent, channel.failed) == (2, None, moment(NOW))
    assert channel.problem == "the receiver answered 503"
    clock.now += 10
    serve(sending, mail)
    (channel,) = look(database).channels
    assert (channel.waiting, channel.sent, channel.failed) == (
        1,
        moment(NOW + 10_000_000),
        moment(NOW),
    )
    assert channel.problem == "the receiver answered 503"


def test_a_test_goes_to_the_channels_of_its_tag_and_no_others(
    database: Database, clock: Clock
) -> None:
    mail, pager = Noted("mail", "maintenance"), Noted("pager", "night", "maintenance")
    chat = Noted("chat", "quality")
    shown(database, mail, pager, chat)
    number = order(database, "maintenance")
    assert told(database, number) is None
    serve(dispatcher(database, clock, mail, pager, chat), mail, pager, chat)
    assert told(database, number) == [Outcome("mail", "sent", None), Outcome("pager", "sent", None)]
    assert chat.attempts == []
    assert mail.sent[0].document["event"] == "test"
    assert "anna" in mail.sent[0].body


def test_a_test_that_fails_is_not_tried_again_and_says_what_the_receiver_said(
    database: Database, clock: Clock
) -> None:
    mail = Noted()
    shown(database, mail)
    mail.failures = 1
    number = order(database, "maintenance")
    sending = dispatcher(database, clock, mail)
    serve(sending, mail)
    assert told(database, number) == [Outcome("mail", "given_up", "the receiver answered 503")]
    clock.now += 60
    sending.serve(mail)
    assert len(mail.attempts) == 1
    (channel,) = look(database).channels
    assert (channel.waiting, channel.failed) == (0, moment(NOW))


def test_a_test_overtakes_what_waits_and_no_limit_holds_it(
    database: Database, clock: Clock
) -> None:
    mail = Noted()
    shown(database, mail)
    put(database, payload(1))
    mail.failures = 1
    sending = dispatcher(database, clock, mail, per_minute=1)
    serve(sending, mail)
    number = order(database, "maintenance")
    serve(sending, mail)
    assert told(database, number) == [Outcome("mail", "sent", None)]
    again = order(database, "maintenance")
    serve(sending, mail)
    assert told(database, again) == [Outcome("mail", "sent", None)]


def test_a_test_never_asks_for_a_line_stop_and_a_stop_goes_before_it(
    database: Database, clock: Clock
) -> None:
    plc = Noted("plc", "line_stop", machine=True)
    shown(database, plc)
    sending = dispatcher(database, clock, plc, rules=STOPPING)
    order(database, "line_stop")
    put(database, payload(1))
    serve(sending, plc, plc)
    assert [one.stops for one in plc.sent] == [True, False]
    assert [one.document["command"] for one in plc.sent] == ["stop", None]


def test_a_dry_run_sends_no_test_and_says_so(database: Database, clock: Clock) -> None:
    mail = Noted()
    shown(database, mail, dry_run=True)
    number = order(database, "maintenance")
    serve(Dispatcher(database, Rules(), [mail], Manners(dry_run=True), clock, clock.ticks), mail)
    assert look(database).dry_run
    assert told(database, number) == [Outcome("mail", "unsent", "a dry run")]
    assert mail.attempts == []


def test_a_test_that_nobody_sends_in_time_is_given_up(database: Database, clock: Clock) -> None:
    mail = Noted()
    shown(database, mail)
    number = order(database, "maintenance")
    clock.now += 61
    serve(dispatcher(database, clock, mail), mail)
    assert told(database, number) == [Outcome("mail", "given_up", "too old")]
    assert mail.attempts == []


def test_one_test_of_a_tag_at_a_time(database: Database, clock: Clock) -> None:
    mail, chat = Noted(), Noted("chat", "quality")
    shown(database, mail, chat)
    order(database, "maintenance")
    with pytest.raises(Conflict):
        order(database, "maintenance")
    order(database, "quality")
    serve(dispatcher(database, clock, mail, chat), mail, chat)
    order(database, "maintenance")
    order(database, "quality", NOW + 61_000_000)  # the first was never sent: it is over


def test_what_is_not_there_is_not_found(database: Database) -> None:
    shown(database, Noted())
    with pytest.raises(NotFound, match="there are maintenance"):
        order(database, "night")
    put(database, payload(1))
    with pytest.raises(NotFound):
        told(database, 1)  # an alarm's step is no test
