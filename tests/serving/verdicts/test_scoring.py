from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI

from kizashi.runtime import detector as detector_module
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector
from serving.following.detectors import Served
from serving.verdicts.scoring import Judged, Origin, Scoring
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_rows

ORIGIN = Origin("test", "request-1", source="press-01")


class Heard:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.verdicts: list[bool] = []
        self.origins: set[Origin] = set()

    def one(self, served: Served, origin: Origin, score: float, anomaly: bool) -> None:
        self.verdicts.append(anomaly)
        self.origins.add(origin)

    def many(self, served: Served, origin: Origin, judged: Judged) -> None:
        self.verdicts += judged.anomaly_N.tolist()
        self.origins.add(origin)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def scoring(press_line: Bundle, make_app: Callable[..., FastAPI], heard: Heard) -> Scoring:
    return Scoring(make_app(press_line.folder).state.detectors, [heard])


def windowed(scoring: Scoring, length: int) -> Served:
    """What is served, as if it judged windows of `length` rows."""
    served = scoring.held()
    detector = served.detector
    contract = replace(detector.contract, window_length=length)
    return with_detector(served, replace(detector, contract=contract))


def with_detector(served: Served, detector: Detector) -> Served:
    other = Served(served.bundle, served.pointer)
    other.__dict__["detector"] = detector
    return other


def test_observers_hear_of_every_verdict_however_it_was_asked_for(
    scoring: Scoring, heard: Heard
) -> None:
    served = scoring.held()
    rows_NF = np.array([NORMAL_ROW, ANOMALOUS_ROW])
    _, anomaly = scoring.one(served, rows_NF[1:], ORIGIN)
    verdicts = scoring.full(served, rows_NF[:, None], ORIGIN)
    judged = scoring.many(served, rows_NF, ORIGIN)
    assert anomaly
    assert verdicts.anomaly_B.tolist() == judged.anomaly_N.tolist() == [False, True]
    assert heard.verdicts == [True, False, True, False, True]
    assert heard.origins == {ORIGIN}


def test_rows_before_the_first_whole_window_have_no_verdict_and_nobody_hears_of_them(
    scoring: Scoring, heard: Heard
) -> None:
    judged = scoring.many(windowed(scoring, 3), press_line_rows(5), ORIGIN)
    assert np.isnan(judged.score_N).tolist() == [True, True, False, False, False]
    assert len(heard.verdicts) == 3
    few = scoring.many(windowed(scoring, 3), press_line_rows(2), ORIGIN)
    assert np.isnan(few.score_N).all()
    assert len(few.score_N) == 2
    assert len(heard.verdicts) == 3


def test_long_windows_are_judged_in_pieces_that_memory_allows(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Measured(DataContract):
        def out_of_range(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
            sizes.append(rows.size)
            return super().out_of_range(rows)

    served = scoring.held()
    contract = Measured(served.detector.contract.sensors, window_length=50)
    served = with_detector(served, replace(served.detector, contract=contract))
    rows_NF = press_line_rows(400)
    expected = scoring.many(served, rows_NF, ORIGIN)
    monkeypatch.setattr(detector_module, "VALUES_AT_ONCE", 3000)
    sizes.clear()
    judged = scoring.many(served, rows_NF, ORIGIN)
    np.testing.assert_array_equal(judged.anomaly_N, expected.anomaly_N)
    np.testing.assert_array_equal(judged.score_N, expected.score_N)
    assert max(sizes) <= 3000
