"""The results in short, as the README quotes them: one table for each suite."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.summary import COMPARED_WITH, MEASURES, by_case, paired_p, pooled, ranks
from bench.tables import markdown, number, pair, percent

RATE = "0.01"
"""The false alarm rate asked for that is quoted."""
TITLES = {
    "en": (
        "method",
        "AUROC / AUPRC",
        "mean rank",
        f"p against {COMPARED_WITH}",
        "{alarms}, 1 % asked for",
        "µs a row, in batches / alone",
    ),
    "ja": (
        "手法",
        "AUROC / AUPRC",
        "平均順位",
        f"{COMPARED_WITH} との p 値",
        "{alarms}（目標 1 %）",
        "1 行あたり µs（まとめて / 1 行ずつ）",
    ),
}
ALARMS = {"en": ("false alarms", "F1 / FAR / MAR"), "ja": ("誤報率", "F1 / FAR / MAR")}
"""Of rows that are exchangeable, and of series, where anomalies are stretches of time."""
SUITES = {
    "en": "`{suite}`: {cases} cases, {seeds} seeds.",
    "ja": "`{suite}`: {cases} ケース、シード {seeds} 個。",
}
NOTES = {
    "en": (
        "Each pair is of AUROC and AUPRC. p: paired Wilcoxon over the cases of a suite, two-sided. "
        "Thresholds are calibrated, no label has a say in them. Of series, over the rows of all "
        "together: FAR is the share of normal rows that are false alarms, MAR of anomalous rows "
        "that are missed."
    ),
    "ja": (
        "2 つ組は AUROC と AUPRC です。p 値は、ケースごとの差についての対応のある Wilcoxon 検定"
        "（両側）です。しきい値は校正で決め、ラベルは使いません。系列では全系列の行をまとめて数え、"
        "FAR は正常な行のうちの誤報、MAR は異常な行のうちの見逃しの割合です。"
    ),
}
MADE = {
    "en": "`{command}` makes these tables; [{file}]({file}) has every case.",
    "ja": "この表は `{command}` で作られます。ケースごとの結果は [{file}]({file}) にあります。",
}


def brief(
    table: pd.DataFrame, methods: Sequence[str], command: str, file: str, language: str = "en"
) -> str:
    """The tables and the command; `file` is the whole document, for a link."""
    parts = []
    for suite, results in table.groupby("suite", sort=True):
        once = results.drop_duplicates(["case", "method", "seed"])
        counted = {"cases": once["case"].nunique(), "seeds": once["seed"].nunique()}
        parts += [SUITES[language].format(suite=suite, **counted)]
        parts += [_suite(results, once, methods, language)]
    parts += [NOTES[language], MADE[language].format(command=command, file=file)]
    return "\n\n".join(parts) + "\n"


def make_command(overrides: Sequence[str]) -> str:
    """The command of a user who has a checkout; what else was measured is left out."""
    options = shlex.join(one for one in overrides if not one.startswith("measure="))
    if not options:
        return "make bench-detection DATA=FOLDER"
    plain = not set(options) & set('"\\$`')
    given = f'"{options}"' if plain else shlex.quote(options)
    return f"make bench-detection DATA=FOLDER OPTIONS={given}"


def quote(document: Path, name: str, text: str) -> None:
    """Put `text` between the marks of this name, where a document has them."""
    if document.exists():
        whole = document.read_text(encoding="utf-8")
        quoted = _marks(name).sub(lambda marks: f"{marks[1]}{text}{marks[3]}", whole)
        document.write_text(quoted, encoding="utf-8")


def quoted(document: Path, name: str) -> str:
    """What stands between the marks of this name; raises ValueError without them."""
    found = _marks(name).search(document.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"'{document}' has no marks '{name}'")
    return found[2]


def _marks(name: str) -> re.Pattern[str]:
    mark = re.escape(name)
    return re.compile(rf"(<!-- {mark} -->\n)(.*?)(<!-- /{mark} -->)", re.DOTALL)


def _suite(results: pd.DataFrame, once: pd.DataFrame, methods: Sequence[str], language: str) -> str:
    methods = [method for method in methods if method in set(once["method"])]
    wide = {measure: by_case(once, measure, methods) for measure in MEASURES}
    rank = {measure: ranks(wide[measure]).mean() for measure in MEASURES}
    cost = once.groupby("method")[["batch_us", "single_us"]].median()
    series = bool((results["kind"] == "series").any())
    at_rate = results[results["alpha"] == RATE]
    rows = [
        [
            method,
            pair(wide[measure][method].mean() for measure in MEASURES),
            pair((rank[measure][method] for measure in MEASURES), 2),
            pair((paired_p(wide[measure], method) for measure in MEASURES), 4),
            _alarms(at_rate[at_rate["method"] == method], series),
            " / ".join(number(cost[column][method], 1) for column in ("batch_us", "single_us")),
        ]
        for method in methods
    ]
    return markdown([one.format(alarms=ALARMS[language][series]) for one in TITLES[language]], rows)


def _alarms(one: pd.DataFrame, series: bool) -> str:
    """At the calibrated threshold."""
    if one.empty:
        return "–"
    if not series:
        return percent(float(one["false_alarm_rate"].mean()))
    of_rows = pooled(one)
    return f"{number(of_rows.f1)} / {percent(of_rows.far)} / {percent(of_rows.mar)}"
