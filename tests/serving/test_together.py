import asyncio
import copy
import json
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI
from starlette.types import Message

from kizashi.errors import InvalidRow, UnusableScore
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.detector import Detector
from kizashi.runtime.scoring.scorer import Rebuilt
from serving.together import Together, Verdict
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


def ask(*asked: Coroutine[Any, Any, Verdict]) -> list[Verdict | BaseException]:
    async def at_once() -> list[Verdict | BaseException]:
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(at_once())


def test_windows_of_one_turn_are_judged_in_one_go_and_as_if_each_were_alone(
    press_line: Bundle, judged_at_once: list[int]
) -> None:
    detector, together = press_line.detector, Together()
    found = ask(*(together.verdict(detector, one) for one in windows(10)))
    alone = [detector.verdict(one) for one in windows(10)]
    assert judged_at_once == [10]
    for (score, anomaly), (own_score, own) in zip(found, alone, strict=True):  # type: ignore[misc]
        assert score == pytest.approx(own_score, rel=1e-5)
        assert anomaly is own
    assert [anomaly for _, anomaly in alone][-1] is True


def test_a_window_without_company_goes_by_its_own_way(
    press_line: Bundle, judged_at_once: list[int]
) -> None:
    detector, together = press_line.detector, Together()
    window_TF = np.array([NORMAL_ROW])
    assert ask(together.verdict(detector, window_TF)) == [detector.verdict(window_TF)]
    assert judged_at_once == []


def test_a_window_that_cannot_be_judged_is_nobody_elses_trouble(
    press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, together = press_line.detector, Together()
    scorer = type(detector.scorer)
    for name in ("score", "score_one"):
        monkeypatch.setattr(scorer, name, _spoiled(getattr(scorer, name)))
    some = windows(5)
    some[2] = np.full_like(some[2], 1e12)
    found = ask(*(together.verdict(detector, one) for one in some))
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
    detector, together = press_line.detector, Together()
    some = windows(6)
    some[1] = np.full_like(some[1], np.nan)  # this model fills nothing in
    found = ask(*(together.verdict(detector, one) for one in some))
    assert isinstance(found.pop(1), InvalidRow)
    assert found == [detector.verdict(one) for place, one in enumerate(some) if place != 1]


def test_while_versions_are_swapped_each_window_is_judged_by_its_own(
    press_line: Bundle, judged_at_once: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, together = press_line.detector, Together()
    strict = copy.copy(old.threshold)
    monkeypatch.setattr(strict, "_value", 0.0)
    new = replace(old, threshold=strict)
    some = windows(8)
    asked = [together.verdict(new if place % 2 else old, one) for place, one in enumerate(some)]
    found = ask(*asked)
    assert judged_at_once == [4, 4]
    anomalies = [found[place][1] for place in range(8)]  # type: ignore[index]
    assert anomalies == [False, True, False, True, False, True, False, True]


def test_who_no_longer_waits_is_not_judged_for(
    press_line: Bundle, judged_at_once: list[int]
) -> None:
    detector, together = press_line.detector, Together()

    async def one_leaves() -> list[Verdict | BaseException]:
        tasks = [asyncio.create_task(together.verdict(detector, one)) for one in windows(5)]
        asyncio.get_running_loop().call_soon(tasks[0].cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(one_leaves())
    assert isinstance(found[0], asyncio.CancelledError)
    assert judged_at_once == [4]


def test_requests_that_come_at_once_are_each_answered_with_their_own_verdict(
    press_line: Bundle, make_app: Callable[..., FastAPI], judged_at_once: list[int]
) -> None:
    app = make_app(press_line.folder, database_url="none")
    rows = [NORMAL_ROW, ANOMALOUS_ROW] * 8

    async def post(row: object) -> object:
        body = json.dumps({"values": row}).encode()
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        asked = {"type": "http", "method": "POST", "path": "/anomaly", "query_string": b""}
        await app(asked | {"headers": headers, "server": ("127.0.0.1", 80)}, receive, send)
        return json.loads(sent[-1]["body"])["status"]

    async def at_once() -> list[object]:
        return await asyncio.gather(*map(post, rows))

    assert asyncio.run(at_once()) == ["normal", "anomaly"] * 8
    assert judged_at_once[0] == 16  # and then the anomalies, by the way of the whole application


def test_what_nobody_foresaw_is_raised_for_everyone_who_asked(
    press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the network broke")

    for name in ("verdict", "verdicts"):
        monkeypatch.setattr(Detector, name, broken)
    together = Together()
    found = ask(*(together.verdict(press_line.detector, one) for one in windows(5)))
    assert [type(one) for one in found] == [RuntimeError] * 5
