"""Who was told of an alarm, and what nobody was told of, over HTTP and over both databases."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.alarms.api import OccurrenceDetail
from serving.alarms.rules import Rules, rules_of
from serving.history.lease import Lease
from serving.history.retention import Retention
from serving.history.tables import outbox
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.notify.api import LostOnes
from serving.notify.board import LEASE
from serving.notify.dispatcher import Dispatcher
from tests.bundles import ANOMALOUS_ROW
from tests.serving.history.conftest import count, settled
from tests.serving.notify.test_dispatcher import Noted

SOURCE = "press-01"
STOPPING = rules_of({"sources": {SOURCE: {"notify": {"line_stop": True}}}}, "rules")


class Time:
    """The time of day and what has passed, both `later` than they were, and at rest: no pause is
    over before a test says so."""

    def __init__(self) -> None:
        self.later = 0.0
        self._clock, self._ticks = time.time(), time.monotonic()

    def clock(self) -> float:
        return self._clock + self.later

    def ticks(self) -> float:
        return self._ticks + self.later


@pytest.fixture
def alarmed(history_client: TestClient) -> TestClient:
    """A service one source of which is in alarm."""
    for _ in range(4):
        body = {"values": ANOMALOUS_ROW, "source": SOURCE}
        assert history_client.post("/anomaly", json=body).status_code == 200
    settled(history_client)
    return history_client


def sender(client: TestClient, *channels: Noted, passes: Time | None = None) -> Callable[[], None]:
    """Sends all that is due, each time that it is called."""
    passes = passes or Time()
    rules: Rules = STOPPING
    database = settled(client).database
    sending = Dispatcher(database, rules, channels, clock=passes.clock, ticks=passes.ticks)

    def send() -> None:
        sending.route()
        for channel in channels:
            for _ in range(3):
                sending.serve(channel)

    return send


def occurrence(client: TestClient) -> OccurrenceDetail:
    (one,) = client.get("/api/occurrences", params={"kind": "anomaly"}).json()["occurrences"]
    answer = client.get(f"/api/occurrences/{one['id']}")
    return OccurrenceDetail.model_validate_json(answer.content)


def lost(client: TestClient) -> LostOnes:
    return LostOnes.model_validate_json(client.get("/api/notifications/lost").content)


def see(client: TestClient, one: Any, **changed: Any) -> int:
    body: dict[str, Any] = {name: getattr(one, name) for name in ("source", "channel", "stop")}
    body["last"] = one.last.isoformat()
    return client.post("/api/notifications/lost/seen", json=body | changed).status_code


def test_each_step_of_an_alarm_tells_which_channels_heard_of_it(alarmed: TestClient) -> None:
    assert (occurrence(alarmed).untaken, occurrence(alarmed).deliveries) == (1, [])
    mail, hook = Noted(), Noted("hook", machine=True)
    mail.failures = 1
    send = sender(alarmed, mail, hook)
    send()
    acted = {"source": SOURCE, "kind": "anomaly", "comment": "on my way"}
    assert alarmed.post("/api/alarms/acknowledge", json=acted).status_code == 200
    send()
    found = occurrence(alarmed)
    assert found.untaken == 0
    told = [(one.event, one.channel, one.state, one.attempts) for one in found.deliveries]
    assert told == [
        ("acknowledged", "hook", "sent", 1),
        ("began", "mail", "waiting", 1),
        ("began", "hook", "sent", 1),
    ]
    assert found.deliveries[1].answer == "failing" and found.deliveries[0].done is not None


def test_a_stop_that_fails_is_told_of_until_it_arrives(alarmed: TestClient) -> None:
    line, passes = Noted("line", "line_stop", machine=True), Time()
    line.failures = 1
    send = sender(alarmed, line, passes=passes)
    send()
    (one,) = lost(alarmed).lost
    assert (one.source, one.name, one.stop, one.waiting) == (SOURCE, "line", True, True)
    assert (one.count, one.answer) == (1, "failing")
    assert see(alarmed, one) == 204
    assert len(lost(alarmed).lost) == 1  # it is still tried: nobody can have done with it
    passes.later += 3
    send()
    assert line.sent[0].stops
    assert lost(alarmed).lost == []


def test_what_was_given_up_is_told_of_until_somebody_has_seen_it(alarmed: TestClient) -> None:
    line, mail, passes = Noted("line", "line_stop", machine=True), Noted(), Time()
    line.failures = mail.failures = 100
    send = sender(alarmed, mail, line, passes=passes)
    send()
    passes.later += 61
    send()
    (stop,) = lost(alarmed).lost
    assert (stop.stop, stop.waiting, stop.answer) == (True, False, "failing")
    passes.later += 86_400
    send()
    stop, told = lost(alarmed).lost
    assert (told.stop, told.name, told.count) == (False, "mail", 1)
    before = (stop.last - timedelta(microseconds=1)).isoformat()
    assert see(alarmed, stop, last=before) == 204  # it was given up after what somebody was shown
    assert see(alarmed, stop, source="press-02") == 204
    assert see(alarmed, told) == see(alarmed, told) == 204
    assert [one.name for one in lost(alarmed).lost] == ["line"]
    assert see(alarmed, stop) == 204
    assert lost(alarmed).lost == []
    assert [one.seen_by for one in occurrence(alarmed).deliveries] == ["anonymous"] * 2


def test_many_lost_notifications_of_a_source_to_a_channel_are_one_line(
    alarmed: TestClient,
) -> None:
    mail, passes = Noted(), Time()
    mail.failures = 100
    kind: dict[str, Any] = {"source": SOURCE, "kind": "anomaly"}
    for action, body in {"shelve": kind | {"seconds": 60}, "unshelve": kind}.items():
        assert alarmed.post(f"/api/alarms/{action}", json=body).status_code == 200
    send = sender(alarmed, mail, passes=passes)
    send()
    passes.later += 90_000
    send()
    (one,) = lost(alarmed).lost
    assert one.count == 2
    assert one.since < one.last
    assert one.answer in ("old", "failing")


def test_steps_that_wait_while_no_process_sends_are_told_of(
    alarmed: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lost(alarmed).untaken == 0  # nothing is to be sent: no channels are set up
    monkeypatch.setattr(alarmed.app.state, "attendant", object())  # type: ignore[attr-defined]
    assert lost(alarmed).untaken == 1
    mail = Noted()
    mail.failures = 100
    sender(alarmed, mail)()  # and then the process ends
    assert occurrence(alarmed).untaken == 0
    assert lost(alarmed).untaken == 1  # its message has still not arrived
    lease = Lease(settled(alarmed).database, LEASE, 15)
    assert lease.take(round(time.time() * 1e6))
    assert lost(alarmed).untaken == 0


def test_who_may_only_look_cannot_say_that_it_was_seen(
    press_line: Any, make_app: Any, address: str, tmp_path: Any
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    record, key = make_key("wall", ["score"])
    keys.add(record)
    app = make_app(press_line.folder, database_url=address, keys_file=keys.path)
    body = {"source": SOURCE, "channel": "line", "stop": True, "last": "2026-11-29T00:00:00Z"}
    with TestClient(app, headers={"X-API-Key": key}) as client:
        assert client.get("/api/notifications/lost").status_code == 200
        assert client.post("/api/notifications/lost/seen", json=body).status_code == 403


@pytest.mark.parametrize(
    ("days", "gigabytes"), [(0, 1e-9), (1, 0)], ids=["want of room", "its time"]
)
def test_a_lost_stop_outlives_all_but_that_somebody_has_seen_it(
    alarmed: TestClient, days: float, gigabytes: float
) -> None:
    line, passes = Noted("line", "line_stop", machine=True), Time()
    line.failures = 100
    send = sender(alarmed, line, passes=passes)
    send()
    passes.later += 61
    send()
    database = settled(alarmed).database

    def tidy() -> None:
        retention = Retention(rows_days=0, trends_days=days, gigabytes=gigabytes)
        retention.tidy(database, round((time.time() + 2 * 86_400) * 1e6))

    tidy()
    (stop,) = lost(alarmed).lost
    assert see(alarmed, stop) == 204
    tidy()
    assert count(database, outbox) == 0
