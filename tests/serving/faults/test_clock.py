"""This machine's clock is put ahead, and back again, while the service runs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from kizashi.runtime.bundle import Bundle
from serving.alarms.ends import Ends
from serving.alarms.rules import Rules
from serving.app import create_app
from serving.history import upkeep
from serving.history.lease import Lease
from serving.history.tables import verdicts
from serving.notify.board import LEASE
from serving.notify.dispatcher import Dispatcher
from serving.settings import Settings
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.faults.asking import Asker, Got, Sent, asking
from tests.serving.notify.test_dispatcher import Noted

JSON = [(b"content-type", b"application/json")]
HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0


class Clock:
    """The time of day, and by how much it was put ahead."""

    def __init__(self) -> None:
        self._real = time.time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


class Passed:
    """The seconds that have passed, which nobody sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    return made


@pytest.fixture
def service(clock: Clock, bundle: Bundle, tmp_path: Path) -> Iterator[Asker]:
    rules = tmp_path / "rules.yaml"
    rules.write_text("default: {warm_up: {seconds: 0}}\n", encoding="utf-8")
    values = {
        "model_uri": str(bundle.folder),
        "cache": tmp_path / "cache",
        "allow_anonymous": True,
        "alarm_rules": rules,
        "rate_limit": 500,
    }
    with asking(create_app(Settings.model_validate(values))) as ready:
        yield ready


def row(service: Asker, values: list[float], source: str) -> Got:
    body = json.dumps({"values": values, "source": source}).encode()
    return service.ask(Sent("POST", "/anomaly", body, JSON))


def alarms(service: Asker, source: str) -> dict[str, str]:
    """The state of each kind of alarm of a source."""
    assert service.app.state.history.writer.wait_until_written(60)
    got = service.ask(Sent("GET", f"/api/alarms?source={source}"))
    assert got.status == 200
    return {one["kind"]: one["state"] for one in got.json()["alarms"]}


@pytest.mark.parametrize("jump", [0.0, -YEAR, -DAY, -90.0, 90.0, DAY, YEAR, 60 * YEAR])
def test_an_alarm_begins_and_ends_whatever_the_clock_did(
    service: Asker, clock: Clock, jump: float
) -> None:
    for _ in range(5):
        assert row(service, NORMAL_ROW, "press-01").status == 200
    assert alarms(service, "press-01").get("anomaly", "normal") == "normal"
    clock.ahead = jump
    for _ in range(5):
        assert row(service, ANOMALOUS_ROW, "press-01").status == 200
    assert alarms(service, "press-01")["anomaly"] == "unacknowledged"
    clock.ahead = 0.0
    for _ in range(5):
        assert row(service, ANOMALOUS_ROW, "press-02").status == 200
        assert row(service, ANOMALOUS_ROW, "press-01").status == 200
    assert alarms(service, "press-02")["anomaly"] == "unacknowledged"
    for _ in range(40):
        assert row(service, NORMAL_ROW, "press-01").status == 200
    assert alarms(service, "press-01")["anomaly"] != "unacknowledged"
    for path in ("/api/sources", "/api/series?source=press-01", "/api/occurrences", "/api/audit"):
        assert service.ask(Sent("GET", path)).status == 200


@pytest.mark.parametrize("jump", [-YEAR, -DAY, DAY, YEAR])
def test_limits_do_not_go_by_the_clock(service: Asker, clock: Clock, jump: float) -> None:
    let_through = sum(row(service, NORMAL_ROW, "press-01").status == 200 for _ in range(400))
    clock.ahead = jump
    answers = [row(service, NORMAL_ROW, "press-01") for _ in range(200)]
    let_through += sum(got.status == 200 for got in answers)
    assert 490 <= let_through <= 500
    assert answers[-1].status == 429
    assert 1 <= int(answers[-1].all("retry-after")[0]) <= 62


@pytest.mark.parametrize(
    ("jump", "believed_after", "kept"),
    [(-YEAR, DAY, True), (YEAR, DAY, True), (60 * YEAR, DAY, True), (YEAR, 0.0, False)],
)
def test_rows_are_let_go_by_a_clock_that_was_put_ahead_only_when_it_stays_so(
    service: Asker,
    clock: Clock,
    jump: float,
    believed_after: float,
    kept: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, seconds in {"TIDY": 0.0, "HURRY": 0.0, "BELIEF": believed_after}.items():
        monkeypatch.setattr(upkeep, f"{name}_SECONDS", seconds)
    history = service.app.state.history
    made = upkeep.Upkeep(history.database, history.rules, history.upkeep.retention)
    made.once(microseconds(clock))
    for _ in range(5):
        assert row(service, NORMAL_ROW, "press-01").status == 200
    assert history.writer.wait_until_written(60)
    clock.ahead = jump
    for _ in range(3):
        made.once(microseconds(clock))
    clock.ahead = 0.0
    made.once(microseconds(clock))
    with history.database.read() as connection:
        assert bool(connection.execute(select(verdicts.c.id)).all()) is kept


@pytest.mark.parametrize("jump", [-YEAR, -DAY, -3 * HOUR, 3 * HOUR, DAY, YEAR])
def test_what_waits_is_sent_and_the_sending_stays_where_it_is_whatever_the_clock_did(
    service: Asker, clock: Clock, jump: float
) -> None:
    database = service.app.state.history.database
    mail = Noted()
    mail.failures = 1
    passed = Passed()
    sending = Dispatcher(database, Rules(), [mail], clock=clock, ticks=passed)
    ours, theirs = (Lease(database, LEASE, 15.0, name, passed) for name in ("ours", "theirs"))
    assert ours.take(microseconds(clock)) and not theirs.take(microseconds(clock))
    sending.route()
    for _ in range(5):
        assert row(service, ANOMALOUS_ROW, "press-01").status == 200
    assert alarms(service, "press-01")["anomaly"] == "unacknowledged"
    sending.route()
    sending.serve(mail)
    clock.ahead = jump
    passed.seconds += 3.0
    assert not theirs.take(microseconds(clock)) and ours.held
    assert ours.take(microseconds(clock)) and not theirs.take(microseconds(clock))
    told = service.ask(Sent("GET", "/api/notifications")).json()
    assert told["sending"] is True
    sending.serve(mail)
    assert [one.document["event"] for one in mail.sent] == ["began"]
    assert service.ask(Sent("GET", "/api/notifications/lost")).json()["lost"] == []


@pytest.mark.parametrize(
    ("jump", "hidden_at_once"),
    # Put ahead, its time of day is over: the alarm is shown too early, rather than too late.
    [(-YEAR, True), (-3 * HOUR, True), (0.0, True), (3 * HOUR, False), (YEAR, False)],
)
@pytest.mark.parametrize("action", ["shelve", "out-of-service"])
def test_nothing_hides_an_alarm_for_longer_than_was_asked_whatever_the_clock_did(
    service: Asker, clock: Clock, action: str, jump: float, hidden_at_once: bool
) -> None:
    history, passed = service.app.state.history, Passed()
    made = upkeep.Upkeep(history.database, history.rules, history.upkeep.retention, Ends(passed))
    for _ in range(5):
        assert row(service, ANOMALOUS_ROW, "press-01").status == 200
    assert alarms(service, "press-01")["anomaly"] == "unacknowledged"
    body = json.dumps({"source": "press-01", "kind": "anomaly", "seconds": 3600}).encode()
    assert service.ask(Sent("POST", f"/api/alarms/{action}", body, JSON)).status == 200
    made.once(microseconds(clock))
    clock.ahead = jump
    for after, hidden in ((0.0, hidden_at_once), (3590.0, hidden_at_once), (3601.0, False)):
        passed.seconds = after
        made.once(microseconds(clock) + round(1e6 * after))
        state = alarms(service, "press-01")["anomaly"]
        assert (state != "unacknowledged") is hidden


def microseconds(clock: Clock) -> int:
    return round(clock() * 1e6)
