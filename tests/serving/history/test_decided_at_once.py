"""Decisions about the threshold that meet: one while a worker looks for others, one of a worker
that has not heard of the last, and one that is told while it comes into force."""

import threading
from pathlib import Path
from typing import Any

import pytest

from kizashi.runtime.bundle import Bundle
from serving.following.detectors import Detectors
from serving.history.database import Database
from serving.threshold.change import Change
from serving.threshold.desk import Desk
from serving.threshold.in_force import in_force
from tests.serving.history.test_threshold import FOLLOWED, held, host


def test_a_look_that_began_before_a_decision_does_not_take_it_back(
    tmp_path: Path, database: Database, press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    detectors, desk = host(tmp_path / "one", database, press_line)
    served, newest = held(detectors), desk.book.newest
    deciding = threading.Thread(target=desk.set, args=(served, 3.5, "anna", "too loud", None))

    def slow() -> Change | None:
        found = newest()
        monkeypatch.setattr(desk.book, "newest", newest)
        deciding.start()
        deciding.join(0.5)  # decided by now, if nothing keeps it back
        return found

    monkeypatch.setattr(desk.book, "newest", slow)
    desk.look()
    deciding.join(60)
    assert held(detectors).detector.threshold.value == 3.5


def test_it_is_taken_back_also_by_a_worker_that_has_not_heard_of_it(
    tmp_path: Path, database: Database, press_line: Bundle
) -> None:
    one, desk = host(tmp_path / "one", database, press_line)
    other, its_desk = host(tmp_path / "other", database, press_line)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    its_desk.undo(held(other), "ben", "", None)
    desk.look()
    assert held(one).change is None
    assert [step.event for step in desk.book.past(10)] == ["undone", "set"]


def test_a_later_decision_of_another_worker_stays_in_force(
    tmp_path: Path, press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a history, where nobody asks for the newest again."""
    one, desk = _alone(tmp_path, press_line)
    other, its_desk = _alone(tmp_path, press_line)
    add = desk.book.add

    def slow(*decision: Any) -> Change | None:
        kept = add(*decision)
        its_desk.set(held(other), 4.5, "ben", "too quiet", None)
        assert held(one).detector.threshold.value == 4.5
        return kept

    monkeypatch.setattr(desk.book, "add", slow)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    assert held(one).detector.threshold.value == 4.5


def test_no_decision_is_ever_told_with_the_threshold_before_it(
    tmp_path: Path, database: Database, press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    detectors, desk = host(tmp_path / "one", database, press_line)
    calibrated, told = held(detectors).calibrated, []

    def tell(self: Detectors, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if self.current is not None:
            now = in_force(self.current)
            told.append((now.decision, now.value))

    monkeypatch.setattr(Detectors, "__setattr__", tell, raising=False)
    desk.set(held(detectors), 3.5, "anna", "too loud", None)
    desk.undo(held(detectors), "anna", "", None)
    assert list(dict.fromkeys(told)) == [(None, calibrated), (1, 3.5), (2, calibrated)]


def _alone(folder: Path, bundle: Bundle) -> tuple[Detectors, Desk]:
    detectors, _ = host(folder, None, bundle)
    return detectors, Desk(detectors, None, FOLLOWED)
