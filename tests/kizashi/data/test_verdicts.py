from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kizashi.data.load import SURPLUS
from kizashi.data.verdicts import RowJudge
from kizashi.runtime.detector import Detector
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, PRESS_LINE, press_line_bundle, press_line_rows
from tests.filling import filling_bundle

NAMES = [sensor.name for sensor in PRESS_LINE]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("single")).detector


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("windowed"), window_length=4).detector


def judged(detector: Detector, frame: pd.DataFrame, rows: int | None = None) -> pd.DataFrame:
    """The verdicts on `frame`, given `rows` at a time."""
    judge, step = RowJudge(detector), rows or len(frame)
    tables = [judge.judge(frame[start : start + step]) for start in range(0, len(frame), step)]
    verdicts: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    assert judge.rows == len(frame)
    return verdicts.astype(object).where(verdicts.notna(), None)


def rows_of(*rows: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=NAMES)


def first(verdicts: pd.DataFrame) -> dict[str, Any]:
    """The verdict on the first row."""
    return {str(name): value for name, value in verdicts.to_dict("records")[0].items()}


def mixed_rows(count: int) -> pd.DataFrame:
    """Normal rows with faults, cells that are no numbers and readings beyond an instrument."""
    frame = pd.DataFrame(press_line_rows(count, seed=3), columns=NAMES).astype(object)
    rng = np.random.default_rng(4)
    for value in ("n/a", "", 99.0, 3.0):
        for place in rng.choice(count, count // 20, replace=False):
            frame.iloc[place, int(rng.integers(3))] = value
    return frame


def test_a_row_gets_what_the_detector_says_of_it(single: Detector) -> None:
    verdicts = judged(single, rows_of(NORMAL_ROW, ANOMALOUS_ROW))
    truth = single.judge(np.array([[NORMAL_ROW], [ANOMALOUS_ROW]]))
    np.testing.assert_allclose(verdicts["score"].astype(float), truth.score_B)
    np.testing.assert_allclose(verdicts["p_value"].astype(float), truth.p_value_B)
    np.testing.assert_allclose(verdicts["severity"].astype(float), truth.severity_B)
    assert verdicts["status"].tolist() == ["normal", "anomaly"]
    top = NAMES[int(truth.contribution_BF[1].argmax())]
    assert verdicts["top_sensor"].tolist() == [None, top]
    assert verdicts["reason"].tolist() == [None, None]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("kind", ["single", "windowed"])
def test_judging_in_pieces_gives_the_verdicts_of_the_whole(
    kind: str, rows: int, request: pytest.FixtureRequest
) -> None:
    detector, frame = request.getfixturevalue(kind), mixed_rows(200)
    whole, pieces = judged(detector, frame), judged(detector, frame, rows)
    assert set(whole["status"]) >= {"normal", "anomaly", "invalid"}
    for name in ("status", "top_sensor", "reason"):
        assert pieces[name].tolist() == whole[name].tolist()
    for name in ("score", "p_value", "severity"):
        np.testing.assert_allclose(pieces[name].astype(float), whole[name].astype(float), rtol=1e-5)


def test_more_rows_than_the_network_takes_at_once_are_each_judged(single: Detector) -> None:
    rows_NF = press_line_rows(20_000, seed=5)
    verdicts = judged(single, pd.DataFrame(rows_NF, columns=NAMES))
    expected_B = single.score(rows_NF[:, None, :])
    np.testing.assert_allclose(verdicts["score"].astype(float), expected_B)


@pytest.mark.parametrize("cell", ["n/a", "", " ", None, "inf", float("nan"), True, "1,5"])
def test_a_row_with_a_cell_that_is_no_number_is_invalid_and_costs_no_other_row(
    single: Detector, cell: object
) -> None:
    frame = rows_of(NORMAL_ROW, [1.2, cell, 1.1], NORMAL_ROW)
    verdicts = judged(single, frame)
    assert verdicts["status"].tolist() == ["normal", "invalid", "normal"]
    invalid = first(verdicts[1:2])
    assert {invalid[name] for name in ("score", "p_value", "severity", "top_sensor")} == {None}
    assert invalid["reason"].startswith("sensor 'current' is ")
    assert invalid["reason"].endswith("; a number in A is needed")


def test_a_reason_names_every_bad_cell_of_its_row_and_quotes_it(single: Detector) -> None:
    verdicts = judged(single, rows_of(["n/a", "0.9", ""]))
    assert verdicts.loc[0, "reason"] == (
        "sensor 'vibration' is 'n/a'; a number in mm/s is needed; "
        "sensor 'sound' is empty; a number in Pa is needed"
    )


def test_a_row_with_a_cell_too_many_is_invalid(single: Detector) -> None:
    frame = rows_of(NORMAL_ROW, NORMAL_ROW).assign(**{SURPLUS: ["", "7"]})
    verdicts = judged(single, frame)
    assert verdicts["status"].tolist() == ["normal", "invalid"]
    assert verdicts.loc[1, "reason"] == "a cell beyond the header is '7'; one a column is needed"


def test_a_reading_beyond_its_instrument_is_scored_an_anomaly_and_says_why(
    single: Detector,
) -> None:
    verdicts = judged(single, rows_of([25.0, 0.9, 1.1]))
    verdict = first(verdicts)
    assert verdict["status"] == "anomaly"
    assert verdict["score"] > 0
    assert verdict["reason"] == (
        "sensor 'vibration' is 25.0; the instrument reads from 0 to 20 mm/s"
    )


def test_each_row_is_judged_with_the_rows_before_it(windowed: Detector) -> None:
    rows_NF = press_line_rows(10, seed=6)
    verdicts = judged(windowed, pd.DataFrame(rows_NF, columns=NAMES), rows=3)
    assert verdicts["score"].tolist()[:3] == verdicts["status"].tolist()[:3] == [None] * 3
    expected = windowed.score(windowed.windows(rows_NF))
    np.testing.assert_allclose(verdicts["score"][3:].astype(float), expected, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, 12])
def test_a_window_that_holds_a_bad_row_is_invalid_and_names_the_row(
    windowed: Detector, rows: int
) -> None:
    frame = pd.DataFrame(press_line_rows(12), columns=NAMES).astype(object)
    frame.loc[5, "sound"] = "n/a"
    verdicts = judged(windowed, frame, rows)
    invalid = verdicts["status"] == "invalid"
    assert np.flatnonzero(invalid).tolist() == [5, 6, 7, 8]
    assert verdicts["score"][invalid].tolist() == [None] * 4
    text = "sensor 'sound' is 'n/a'; a number in Pa is needed"
    assert verdicts["reason"].tolist()[5:9] == [text, *[f"row 6 in its window: {text}"] * 3]


def test_a_bad_row_before_the_first_whole_window_is_said_too(windowed: Detector) -> None:
    frame = rows_of([1.2, "n/a", 1.1], *[list(NORMAL_ROW) for _ in range(4)])
    assert judged(windowed, frame)["status"].tolist() == [
        "invalid",
        None,
        None,
        "invalid",
        "normal",
    ]


def test_fewer_rows_than_a_window_have_no_verdict(windowed: Detector) -> None:
    verdicts = judged(windowed, rows_of(NORMAL_ROW, NORMAL_ROW))
    assert verdicts["status"].tolist() == verdicts["score"].tolist() == [None, None]


def test_a_reading_beyond_its_instrument_is_named_in_every_window_that_holds_it(
    windowed: Detector,
) -> None:
    frame = rows_of(*[list(NORMAL_ROW) for _ in range(9)])
    frame.loc[3, "current"] = 10.5
    verdicts = judged(windowed, frame, rows=2)
    assert verdicts["status"].tolist()[3:] == ["anomaly"] * 4 + ["normal"] * 2
    text = "sensor 'current' is 10.5; the instrument reads from 0 to 10 A"
    assert verdicts["reason"].tolist()[3:7] == [text, *[f"row 4 in its window: {text}"] * 3]


def test_the_judge_counts_rows_anomalies_and_bad_rows_and_keeps_the_first_bad(
    windowed: Detector,
) -> None:
    judge = RowJudge(windowed)
    for start in (0, 50):
        frame = pd.DataFrame(press_line_rows(50), columns=NAMES).astype(object)
        frame.loc[[10, 30], "vibration"] = ["x", "y"]
        frame.loc[40, "sound"] = 30.0
        judge.judge(frame)
        assert judge.rows == start + 50
    assert judge.bad == 4
    assert judge.anomalies >= 8
    assert [sentence.split(";")[0] for sentence in judge.first_bad] == [
        "row 11: sensor 'vibration' is 'x'",
        "row 31: sensor 'vibration' is 'y'",
        "row 61: sensor 'vibration' is 'x'",
    ]


def test_extra_columns_are_ignored_and_the_order_of_columns_does_not_matter(
    single: Detector,
) -> None:
    frame = rows_of(ANOMALOUS_ROW)
    turned = frame[NAMES[::-1]].assign(operator="A")
    assert judged(single, turned)["score"].tolist() == judged(single, frame)["score"].tolist()


def test_the_time_column_comes_first_as_it_was(single: Detector) -> None:
    frame = rows_of(NORMAL_ROW, NORMAL_ROW).assign(at=["5 Jan, 10:00", ""])
    table = RowJudge(single, "at").judge(frame)
    assert table.column_names[0] == "at"
    assert table["at"].to_pylist() == ["5 Jan, 10:00", ""]


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return filling_bundle(tmp_path_factory.mktemp("filling")).detector


@pytest.mark.parametrize("empty", ["", "  ", None, np.nan])
def test_an_empty_cell_is_filled_in_and_the_reason_says_so(
    filling: Detector, empty: object
) -> None:
    verdicts = judged(filling, rows_of(NORMAL_ROW, [1.2, empty, 1.1], [1.0, empty, 3.0]))
    assert verdicts["status"].tolist() == ["normal", "normal", "anomaly"]
    assert verdicts["reason"].tolist() == [None, *["sensor 'current' is missing"] * 2]
    assert verdicts["top_sensor"].tolist()[:2] == [None, None]
    expected = filling.score(np.array([[[1.2, np.nan, 1.1]]]))[0]
    assert verdicts.loc[1, "score"] == pytest.approx(expected, rel=1e-5)


def test_a_row_with_too_many_empty_cells_is_bad(filling: Detector) -> None:
    judge = RowJudge(filling)
    table = judge.judge(rows_of(["", "", 1.1], ["", "0.9", "1.1"], ["n/a", "0.9", ""]))
    assert table["status"].to_pylist() == ["invalid", "normal", "invalid"]
    assert table["reason"].to_pylist() == [
        "2 of 3 values are missing; at most 1 may be",
        "sensor 'vibration' is missing",
        "sensor 'vibration' is 'n/a'; a number in mm/s is needed; sensor 'sound' is missing",
    ]
    assert (judge.bad, judge.filled) == (2, 1)
    assert judge.first_bad[0] == "row 1: 2 of 3 values are missing; at most 1 may be"


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_windows_are_filled_in_across_pieces_as_in_one(
    tmp_path_factory: pytest.TempPathFactory, rows: int
) -> None:
    detector = filling_bundle(tmp_path_factory.mktemp("windowed"), window_length=4).detector
    frame = pd.DataFrame(press_line_rows(20, seed=3), columns=NAMES).astype(object)
    frame.loc[[4, 5], "current"] = ""
    frame.loc[[9, 10, 11], :] = ""  # 9 of 12 values of a window
    verdicts = judged(detector, frame, rows)
    assert verdicts.loc[[0, 1, 2], "status"].tolist() == [None] * 3
    assert verdicts.loc[[4, 5], "reason"].tolist() == ["sensor 'current' is missing"] * 2
    refused = verdicts.index[verdicts["status"] == "invalid"].tolist()
    assert refused == [11, 12]
    assert verdicts.loc[12, "reason"] == (
        "9 of 12 values in its window are missing; at most 6 may be"
    )
    windows_BTF = detector.windows(frame.replace("", np.nan).to_numpy(dtype=np.float64))
    scored = [place for place in range(3, 20) if place not in refused]
    expected = detector.score(windows_BTF[np.array(scored) - 3])
    assert np.allclose(verdicts.loc[scored, "score"].astype(float), expected, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 5, 20])
def test_no_window_reaches_over_a_pause(windowed: Detector, rows: int) -> None:
    rows_NF = press_line_rows(20, seed=6)
    frame = pd.DataFrame(rows_NF, columns=NAMES).astype(object)
    frame.loc[8, "sound"] = "n/a"
    seconds = np.arange(20) + np.where(np.arange(20) >= 10, 3600, 0)
    stamps = pd.Timestamp("2026-01-05T18:00:00Z") + pd.to_timedelta(seconds, unit="s")
    frame["at"] = stamps.strftime("%Y-%m-%dT%H:%M:%SZ")
    judge = RowJudge(windowed, "at", longest_step=10)
    tables = [judge.judge(frame[start : start + rows]) for start in range(0, 20, rows)]
    verdicts = pa.concat_tables(tables).to_pandas()
    unjudged = verdicts["status"].isna()
    assert np.flatnonzero(unjudged).tolist() == [0, 1, 2, 10, 11, 12]
    assert np.flatnonzero(verdicts["status"] == "invalid").tolist() == [8, 9]
    assert verdicts["reason"][unjudged].isna().all()
    expected = windowed.score(windowed.windows(rows_NF[10:]))
    np.testing.assert_allclose(verdicts["score"][13:], expected, rtol=1e-5)
    assert judge.pauses == 1


def test_rows_without_a_known_time_and_steps_back_are_no_pauses(windowed: Detector) -> None:
    frame = pd.DataFrame(press_line_rows(8, seed=6), columns=NAMES)
    frame["at"] = ["100", "101", "?", "500", "103", "104", "", "105"]
    judge = RowJudge(windowed, "at", longest_step=10)
    verdicts = judge.judge(frame).to_pandas()
    assert verdicts["status"].notna().tolist() == [False] * 3 + [True] * 5
    assert judge.pauses == 0
