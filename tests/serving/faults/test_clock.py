"""This machine's clock is put ahead, and back again, while the service runs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.history import upkeep
from serving.history.tables import verdicts
from serving.settings import Settings
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.faults.asking import Asker, Got, Sent, asking

JSON = [(b"content-type", b"application/json")]
DAY, YEAR = 86_400.0, 365 * 86_400.0


class Clock:
    """The time of day, and by how much it was put ahead."""

    def __init__(self) -> None:
        self._real = time.time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


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
    assert service.app.state.history.writer.wait_until_written()
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
    assert history.writer.wait_until_written()
    clock.ahead = jump
    for _ in range(3):
        made.once(microseconds(clock))
    clock.ahead = 0.0
    made.once(microseconds(clock))
    with history.database.read() as connection:
        assert bool(connection.execute(select(verdicts.c.id)).all()) is kept


def microseconds(clock: Clock) -> int:
    return round(clock() * 1e6)
