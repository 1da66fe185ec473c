"""A decision about the threshold that comes while a worker decides itself."""

from pathlib import Path
from typing import Any

import pytest

from kizashi.runtime.bundle import Bundle
from serving.history.database import Database
from tests.serving.history.test_threshold import held, host


def test_a_later_decision_of_another_worker_is_not_undone_by_ones_own(
    tmp_path: Path, database: Database, press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, desk = host(tmp_path / "host", database, press_line)
    other, its_desk = host(tmp_path / "host", database, press_line)
    add = desk.book.add

    def decided_meanwhile(*given: Any) -> Any:
        kept = add(*given)
        its_desk.set(held(other), 4.5, "ben", "still too loud", None)
        assert held(one).detector.threshold.value == 4.5  # by the file of the host
        return kept

    monkeypatch.setattr(desk.book, "add", decided_meanwhile)
    desk.set(held(one), 3.5, "anna", "too loud", None)
    assert held(one).detector.threshold.value == 4.5
    (kept,) = one.cache.threshold().changes
    assert kept.value == 4.5
