import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import InvalidRow, UnusableScore
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from kizashi.runtime.scoring.scorer import Rebuilt
from serving.verdicts.together import Verdict, judge
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_rows

Windows = list[npt.NDArray[np.float64]]


@pytest.fixture
def judged_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows each detector was given together."""
    found: list[int] = []
    real = Detector.verdicts

    def counted(self: Detector, windows_BTF: npt.NDArray[np.float64]) -> list[Verdict]:
        found.append(len(windows_BTF))
        return real(self, windows_BTF)

    monkeypatch.setattr(Detector, "verdicts", counted)
    return found


def windows(count: int) -> Windows:
    rows = [*press_line_rows(count - 1), np.array(ANOMALOUS_ROW)]
    return [np.array(row, dtype=np.float64)[None] for row in rows]


def test_windows_are_judged_in_one_go_and_as_if_each_were_alone(
    press_line: Bundle, judged_at_once: list[int]
) -> None:
    detector = press_line.detector
    found = judge([(detector, one) for one in windows(10)])
    alone = [detector.verdict(one) for one in windows(10)]
    assert judged_at_once == [10]
    for verdict, (own_score, own) in zip(found, alone, strict=True):
        assert isinstance(verdict, tuple)
        assert verdict[0] == pytest.approx(own_score, rel=1e-5)
        assert verdict[1] is own
    assert [anomaly for _, anomaly in alone][-1] is True


def test_a_window_without_company_goes_by_its_own_way(
    press_line: Bundle, judged_at_once: list[int]
) -> None:
    window_TF = np.array([NORMAL_ROW])
    assert judge([(press_line.detector, window_TF)]) == [press_line.detector.verdict(window_TF)]
    assert judge([]) == []
    assert judged_at_once == []


def test_a_window_that_cannot_be_judged_is_nobody_elses_trouble(
    press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = press_line.detector
    scorer = type(detector.scorer)
    for name in ("score", "score_one"):
        monkeypatch.setattr(scorer, name, _spoiled(getattr(scorer, name)))
    some = windows(5)
    some[2] = np.full_like(some[2], 1e12)
    found = judge([(detector, one) for one in some])
    assert [type(one) for one in found] == [tuple, tuple, UnusableScore, tuple, tuple]


def _spoiled(real: Callable[[Any, Rebuilt], Any]) -> Callable[[Any, Rebuilt], Any]:
    """Scores of which one is no number where a value is beyond all measure."""

    def score(self: Any, rebuilt: Rebuilt) -> Any:
        beyond_B = np.abs(rebuilt.scaled_BTF).max(axis=(1, 2)) > 20
        found = real(self, rebuilt)
        if isinstance(found, float):
            return math.nan if beyond_B[0] else found
        return np.where(beyond_B, np.nan, found)

    return score


def test_a_window_that_is_refused_is_nobody_elses_trouble(press_line: Bundle) -> None:
    detector = press_line.detector
    some = windows(6)
    some[1] = np.full_like(some[1], np.nan)  # this model fills nothing in
    found = judge([(detector, one) for one in some])
    assert isinstance(found.pop(1), InvalidRow)
    assert found == [detector.verdict(one) for place, one in enumerate(some) if place != 1]


def test_while_versions_are_swapped_each_window_is_judged_by_its_own(
    press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = press_line.detector
    strict = copy.copy(old.threshold)
    monkeypatch.setattr(strict, "_value", 0.0)
    new = replace(old, threshold=strict)
    found = judge([(new if place % 2 else old, one) for place, one in enumerate(windows(8))])
    anomalies = [isinstance(one, tuple) and one[1] for one in found]
    assert anomalies == [False, True, False, True, False, True, False, True]


def test_what_nobody_foresaw_is_told_to_everyone_who_asked(
    press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the network broke")

    for name in ("verdict", "verdicts"):
        monkeypatch.setattr(Detector, name, broken)
    found = judge([(press_line.detector, one) for one in windows(5)])
    assert [type(one) for one in found] == [RuntimeError] * 5
