from dataclasses import dataclass
from typing import Any

import pytest

from serving.alarms.rules import rules_of
from serving.notify.routes import routes
from tests.serving.notify.conftest import payload


@dataclass(frozen=True)
class Listed:
    id: str
    tags: frozenset[str]
    machine: bool = False


MAIL = Listed("mail", frozenset({"maintenance"}))
LAB = Listed("lab", frozenset({"quality"}))
GATEWAY = Listed("gateway", frozenset({"line_stop"}), machine=True)
HOOK = Listed("hook", frozenset({"maintenance", "quality"}), machine=True)
ALL = (MAIL, LAB, GATEWAY, HOOK)
RULES = rules_of({}, "rules")


def found(rules: object = None, **changed: Any) -> list[tuple[str, bool]]:
    asked = RULES if rules is None else rules_of(rules, "rules")
    return [(channel.id, stops) for channel, stops in routes(payload(**changed), asked, ALL)]


def test_a_kind_goes_to_its_tags() -> None:
    assert found() == [("mail", False), ("hook", False)]
    assert found(kind="data_quality") == [("lab", False), ("hook", False)]


def test_a_source_may_have_tags_of_its_own() -> None:
    rules = {"sources": {"press-01": {"notify": {"anomaly": ["quality"]}}}}
    assert found(rules) == [("lab", False), ("hook", False)]
    assert found(rules, source="press-02") == [("mail", False), ("hook", False)]


def test_below_its_priority_nobody_is_told() -> None:
    rules = {"default": {"notify": {"from_priority": "critical"}}}
    assert found(rules) == []
    assert found(rules, priority="critical") == [("mail", False), ("hook", False)]


def test_people_are_told_of_what_matters_and_machines_of_every_step() -> None:
    assert found(event="acknowledged", state="acknowledged") == [("hook", False)]
    assert found(event="ended", state="normal") == [("mail", False), ("hook", False)]
    assert found(event="shelf_expired", state="acknowledged") == [("hook", False)]
    assert found(event="shelf_expired") == [("mail", False), ("hook", False)]


STOPS = {"sources": {"press-01": {"notify": {"line_stop": True}}}}


def test_a_line_stops_only_for_a_source_that_says_so() -> None:
    assert ("gateway", True) in found(STOPS)
    assert ("gateway", True) not in found()
    assert ("gateway", True) not in found(STOPS, source="press-02")


@pytest.mark.parametrize(
    "changed",
    [
        {"event": "ended", "state": "normal"},
        {"event": "chattering"},
        {"event": "shelf_expired"},
        {"kind": "silence"},
        {"kind": "data_quality"},
        {"state": "acknowledged"},
    ],
)
def test_nothing_but_the_beginning_of_an_anomaly_alarm_stops_a_line(
    changed: dict[str, str],
) -> None:
    assert not any(stops for _, stops in found(STOPS, **changed))
