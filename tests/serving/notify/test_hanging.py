"""A broker and a mail server that take connections and say nothing, through the whole dispatcher:
nobody else waits for them, and when they go on they get all of it, once more with the same key."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from serving.history.database import Database
from serving.notify.channels import Channel
from serving.notify.dispatcher import Dispatcher, Dispatching
from tests.serving.notify.conftest import (
    Broker,
    LineListener,
    Mailbox,
    Read,
    Receiver,
    payload,
    put,
    until,
)
from tests.serving.notify.test_dispatcher import STOPPING, rows

LOST_WITHIN = 60.0
"""A stop is given up after so long."""
PATIENCE = (
    "serving.notify.gateway.SECONDS",
    "apprise.plugins.email.NotifyEmail.socket_connect_timeout",
)
"""How long the gateway and the mail wait for an answer."""


@dataclass
class Sending:
    """Three receivers, and the threads that send to them."""

    database: Database
    channels: list[Channel]

    def states(self, receiver: str) -> list[str]:
        """Of the deliveries to one of mail, webhook and gateway."""
        return [row.state for row in rows(self.database) if receiver in row.channel_name.lower()]

    def began(self, number: int) -> None:
        put(self.database, payload(number), created=round(time.time() * 1e6))


@pytest.fixture
def sending(
    database: Database, read: Read, broker: Broker, mailbox: Mailbox, receiver: Receiver
) -> Iterator[Sending]:
    channels = read(
        f"line_stop=gateway://127.0.0.1:{broker.port}/plant",
        f"maintenance=mailto://127.0.0.1:{mailbox.port}?from=k@plant.example&to=a@plant.example",
        f"maintenance=signed://127.0.0.1:{receiver.port}/?secret_env=HOOK_SECRET",
    )
    threads = Dispatching(Dispatcher(database, STOPPING, channels), lambda: True)
    threads.start()
    yield Sending(database, list(channels))
    threads.close(30)


def keys(mailbox: Mailbox) -> list[str]:
    """The beginning of the key in each mail, once as text and once as HTML."""
    return re.findall(r"Message: (\w{20})", "\n".join(str(one) for one in mailbox.mails))


def test_while_a_broker_and_a_mail_server_hang_the_others_hear_at_once(
    sending: Sending,
    broker: Broker,
    mailbox: Mailbox,
    receiver: Receiver,
    line: LineListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for one in PATIENCE:
        monkeypatch.setattr(one, LOST_WITHIN)
    until(lambda: "online" in line.statuses())
    broker.hang()
    mailbox.hangs = True
    for number in (1, 2):
        sending.began(number)
        until(lambda count=number: len(receiver.heard) == count)
        assert not any(row.problem for row in rows(sending.database))  # the others hang on
    assert sending.states("gateway") == sending.states("mail") == ["waiting"] * 2
    broker.go_on()
    mailbox.hangs = False
    until(lambda: sending.states("gateway") == sending.states("mail") == ["sent"] * 2)
    stops = [one["id"] for one in line.documents("stop")]
    assert len(set(stops)) == 2
    assert len(set(keys(mailbox))) == 2
    assert len({one["id"] for one in receiver.documents()}) == len(receiver.documents()) == 2


def test_what_timed_out_is_sent_again_after_the_recovery_with_the_same_key(
    sending: Sending,
    broker: Broker,
    mailbox: Mailbox,
    line: LineListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for one in PATIENCE:
        monkeypatch.setattr(one, 3.0)
    until(lambda: "online" in line.statuses())
    broker.hang()
    mailbox.hangs = True
    begun = time.monotonic()
    sending.began(1)
    until(lambda: sum(bool(row.problem) for row in rows(sending.database)) == 2)
    assert sending.states("gateway") == sending.states("mail") == ["waiting"]
    broker.go_on()
    mailbox.hangs = False
    until(lambda: sending.states("gateway") == ["sent"] and sending.states("mail") == ["sent"])
    assert time.monotonic() - begun < LOST_WITHIN
    told = {row.channel_name.split()[0]: row for row in rows(sending.database)}
    assert all(row.attempts >= 2 for name, row in told.items() if name != "signed")
    assert len({one["id"] for one in line.documents("stop")}) == 1
    assert len(set(keys(mailbox))) == 1
