"""The costs of verdicts as Markdown: everything, and in short as the method's page quotes it."""

import math

import pandas as pd

from bench.tables import markdown, number, pair

DEFAULT = ("denoising", "joint")
FEW_SENSORS = 3
GOAL_US = 40.0
"""Of the default for few sensors, one row at a time."""
COSTS = ("single_us", "batch_us")
FIGURES = {"single_us": 1, "batch_us": 2, "missing_us": 1, "new_pattern_ms": 1, "fit_seconds": 1}
"""Columns of the document, with how many digits each is written."""
TITLES = {
    "en": ("network", "scorer", "{} sensors", "{} sensors, {} rows", "one value missing"),
    "ja": ("ネットワーク", "スコア", "センサー {}", "センサー {}、{} 行", "1 つ欠測"),
}
NOTES = {
    "en": (
        "CPU µs a row on one thread, judged alone / in batches of 1,000; where a window has "
        "several rows, a window.\nOne value missing: alone, with {few} sensors. The default for "
        "{few} sensors takes {taken} µs alone; {goal} are the goal."
    ),
    "ja": (
        "1 スレッドでの 1 行あたりの CPU 時間（µs）。1 行ずつ / 1,000 行まとめて。複数行の"
        "ウィンドウでは 1 ウィンドウあたり。\n1 つ欠測はセンサー {few} で 1 行ずつ。"
        "センサー {few} での既定は 1 行ずつで {taken} µs です（目標は {goal} µs）。"
    ),
}
EXPLAINED = (
    "Of the processor, on one thread: µs a window are the best of several rounds. Fitted with "
    "{steps} training steps; the default are 1,500, and fitting takes as much longer. A new "
    "pattern: one value missing where none was missing before; later ones cost what the column "
    "before it says."
)


def summary(table: pd.DataFrame, command: str) -> str:
    """The whole document."""
    steps = ", ".join(str(one) for one in sorted(set(table["steps"])))
    parts = [
        f"# Costs\n\n`{command}`",
        EXPLAINED.format(steps=steps),
        _goal(table),
    ]
    for (sensors, length), of_shape in table.groupby(["sensors", "window_length"], sort=False):
        rows = "rows" if length == 1 else f"windows of {length} rows"
        parts += [f"## {sensors} sensors, {rows}", _shape(of_shape)]
    return "\n\n".join(part for part in parts if part) + "\n"


def brief(table: pd.DataFrame, language: str = "en") -> str:
    """Each scorer with the default network, and each network with the default scorer."""
    plain = table[(table["rows"] == "curves") | (table["scorer"] != DEFAULT[1])]
    shapes = list(dict.fromkeys(zip(plain["sensors"], plain["window_length"], strict=True)))
    network, scorer, of_rows, of_windows, missing = TITLES[language]
    titles = [network, scorer]
    titles += [(of_rows if one[1] == 1 else of_windows).format(*one) for one in shapes]
    every = list(dict.fromkeys(zip(plain["network"], plain["scorer"], strict=True)))
    chosen = [one for one in every if one[0] == DEFAULT[0] or one[1] == DEFAULT[1]]
    rows = [
        [
            f"`{one[0]}`",
            f"`{one[1]}`",
            *(pair((_cost(plain, one, shape, cost) for cost in COSTS), 1) for shape in shapes),
            number(_cost(plain, one, (FEW_SENSORS, 1), "missing_us"), 1),
        ]
        for one in chosen
    ]
    note = NOTES[language].format(
        few=FEW_SENSORS, taken=number(_taken(table), 1), goal=f"{GOAL_US:g}"
    )
    return f"{markdown([*titles, missing], rows)}\n\n{note}\n"


def _shape(of_shape: pd.DataFrame) -> str:
    rows = [
        [
            *(str(one[name]) for name in ("network", "scorer", "rows")),
            *(number(float(one[name]), digits) for name, digits in FIGURES.items()),
            number(float(one["bundle_bytes"]) / 1024, 0),
        ]
        for one in of_shape.to_dict("records")
    ]
    titles = ["network", "scorer", "rows", "µs alone", "µs in batches", "µs with one value missing"]
    titles += ["a new pattern, ms", "fit, CPU s", "bundle, KiB"]
    return markdown(titles, rows)


def _cost(table: pd.DataFrame, option: tuple[str, str], shape: tuple[int, int], cost: str) -> float:
    network, scorer = option
    found = table[
        (table["network"] == network)
        & (table["scorer"] == scorer)
        & (table["sensors"] == shape[0])
        & (table["window_length"] == shape[1])
    ]
    return float(found[cost].iloc[0]) if len(found) else math.nan


def _taken(table: pd.DataFrame) -> float:
    return _cost(table[table["rows"] == "curves"], DEFAULT, (FEW_SENSORS, 1), "single_us")


def _goal(table: pd.DataFrame) -> str:
    """Whether the goal is kept; empty where the default was not measured."""
    taken = _taken(table)
    if math.isnan(taken):
        return ""
    kept = "kept" if taken <= GOAL_US else "not kept"
    return (
        f"The default ({' with '.join(DEFAULT)}) for {FEW_SENSORS} sensors, one row at a time: "
        f"{number(taken, 1)} µs, {GOAL_US:g} at most: {kept}."
    )
