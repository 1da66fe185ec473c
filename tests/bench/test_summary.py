import math
from typing import Any

import pandas as pd
import pytest

from bench.ranking import NUMBERS
from bench.summary import by_case, paired_p, ranks, summary, wins


def row(case: str, method: str, auroc: float, **other: Any) -> dict[str, Any]:
    """A measured result; a case of 80 normal and 20 anomalous rows."""
    measured = dict.fromkeys(NUMBERS, 1.0) | {"auroc": auroc, "auprc": auroc / 2}
    measured |= {"normal_rows": 80, "anomalous_rows": 20, "false_alarms": 8, "found": 15}
    measured |= {"normal_rows_before": 30, "false_alarms_before": 1}
    measured |= {"false_alarm_rate": 0.1, "detection_rate": 0.75, "calibration_rows": 600}
    named = {"suite": "tables", "case": case, "method": method, "seed": "0", "alpha": "0.1"}
    return {**named, "kind": "exchangeable", "failed": "", **measured, **other}


def failure(case: str, method: str) -> dict[str, Any]:
    return {**row(case, method, 0.0), **dict.fromkeys(NUMBERS, math.nan), "failed": "Error: no"}


def shown(rows: list[dict[str, Any]], title: str) -> list[list[str]]:
    """The cells of the table whose first line begins with `title`."""
    methods = list(dict.fromkeys(one["method"] for one in rows))
    lines = summary(pd.DataFrame(rows), methods, "the command").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {title}"))
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return [line.strip("| ").split(" | ") for line in lines[start + 2 : end]]


def test_seeds_are_averaged_before_cases_are_ranked() -> None:
    rows = [row("a", "ours", 0.9), row("a", "ours", 0.7, seed="1"), row("a", "theirs", 0.85)]
    wide = by_case(pd.DataFrame(rows), "auroc", ["ours", "theirs"])
    assert wide.to_numpy().tolist() == [pytest.approx([0.8, 0.85])]
    assert ranks(wide).to_numpy().tolist() == [[2, 1]]


def test_equal_results_share_a_rank_and_a_win_and_a_failure_comes_last() -> None:
    wide = pd.DataFrame({"x": [0.9, 0.5], "y": [0.9, 0.6], "z": [0.8, math.nan]}, ["a", "b"])
    assert ranks(wide).to_numpy().tolist() == [[1.5, 1.5, 3], [2, 1, 3]]
    assert wins(wide).to_dict() == {"x": 1, "y": 2, "z": 0}


def test_p_is_that_of_the_signed_rank_test() -> None:
    # All of 6 differences are positive: 2 of the 2 ** 6 sign patterns are as extreme.
    wide = pd.DataFrame({"x": [0.61, 0.72, 0.83, 0.94, 0.55, 0.66], "pyod_knn": [0.5] * 6})
    assert paired_p(wide, "x") == pytest.approx(2 / 64)
    assert math.isnan(paired_p(wide, "pyod_knn"))
    assert math.isnan(paired_p(wide[["x"]], "x"))


def test_a_failed_method_is_counted_and_its_reason_is_listed() -> None:
    rows = [row("a", "ours", 0.9), row("b", "ours", 0.7), row("a", "theirs", 0.8)]
    rows.append(failure("b", "theirs"))
    first, second = shown(rows, "method | AUROC")
    assert first[:4] == ["ours", "0.800 / 0.400", "1.00 / 1.00", "2 / 2"]
    assert second[:4] == ["theirs", "0.800 / 0.400", "2.00 / 2.00", "0 / 0"]
    assert (first[-1], second[-1]) == ("0", "1")
    document = summary(pd.DataFrame(rows), ["ours", "theirs"], "the command")
    assert "theirs failed on b with seed 0: Error: no" in document


def test_false_alarms_stand_beside_each_rate_asked_for() -> None:
    rows = [row("a", "ours", 0.9), row("a", "ours", 0.9, alpha="0.01", false_alarm_rate=0.02)]
    rows += [row("b", "ours", 0.9, false_alarm_rate=0.3, within_band=0.0, calibration_rows=50)]
    tenth, hundredth = shown(rows, "asked for")
    assert tenth[:5] == ["0.1", "ours", "20.00%", "20.00%", "10.00% (1)"]
    assert tenth[5:] == ["1.00, kept", "1 of 2", "75.00%"]
    assert hundredth[:3] == ["0.01", "ours", "2.00%"]
    assert hundredth[5] == "2.00, not kept"


def test_the_rows_of_all_series_are_pooled() -> None:
    rows = [
        row("a", "ours", 0.9, kind="series", found=20, false_alarms=0, false_alarms_before=0),
        row("b", "ours", 0.7, kind="series", found=10, false_alarms=16, false_alarms_before=3),
    ]
    # 30 of 40 found, 16 of 160 false, 3 of the 60 before: F1 = 2 * 30 / (46 + 40)
    assert shown(rows, "asked for") == [
        ["0.1", "ours", "0.698", "10.00%", "5.00%", "25.00%", "0.800"]
    ]


def test_what_was_not_counted_before_the_first_anomaly_is_a_dash() -> None:
    rows = [row("a", "ours", 0.9, kind="series", normal_rows_before=float("nan"))]
    assert shown(rows, "asked for")[0][4] == "–"


def test_every_suite_has_a_section_and_every_case_a_row() -> None:
    rows = [row("a", "ours", 0.9), row("b", "ours", 0.8), row("c", "ours", 0.7, suite="rig")]
    document = summary(pd.DataFrame(rows), ["ours"], "the command")
    assert document.startswith("# Detection\n\n`the command`\n")
    assert document.index("## rig") < document.index("| c | 0.700 / 0.350 |")
    assert document.index("## tables") < document.index("| a | 0.900 / 0.450 |")
