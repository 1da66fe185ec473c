"""What was measured of the history, in Markdown: whole, and as the READMEs quote it."""

from collections.abc import Callable

import pandas as pd

from bench.history.added import ANOMALIES, DIFFERENCE, WITH, WITHOUT
from bench.serving.brief import left_out
from bench.serving.records import note_of
from bench.tables import markdown, number

COMMAND = "make bench-history"
MADE = {
    "en": "`{command}` makes this table; [{file}]({file}) has more.",
    "ja": "この表は `{command}` で作られます。詳細は [{file}]({file}) にあります。",
}
TITLES = {"en": ("figure", "SQLite", "PostgreSQL"), "ja": ("項目", "SQLite", "PostgreSQL")}
LINES = {
    "en": {
        "sustained": "rows a second, for {seconds:.0f} s: answered and written",
        "dropped": "rows dropped meanwhile",
        "added": "CPU that the history adds to a request, µs: normal rows / 1 % anomalies",
        "killed": "answered anomalies lost by SIGKILL under load",
        "full": "… by a full disk",
        "stopped": "… by a stopped database",
        "notified": "from an anomaly's request to its notification, ms: p50 / p99 / worst",
        "size": "a year of {sources:.0f} sources at a row a second, GB",
        "queries": "of it, ms: the overview / a day by minute / the whole year",
        "pages": "of it in a browser, ms: the overview / a source over the year",
    },
    "ja": {
        "sustained": "1 秒あたりの行数（{seconds:.0f} 秒間、応答かつ記録済み）",
        "dropped": "その間に破棄した行",
        "added": "履歴による 1 リクエストの CPU 増分 µs：正常な行 / 1 % が異常",
        "killed": "応答済みの異常のうち失われた件数：負荷中の SIGKILL",
        "full": "同：ディスク満杯",
        "stopped": "同：データベース停止",
        "notified": "異常のリクエストから通知の到着まで ms：p50 / p99 / 最大",
        "size": "毎秒 1 行、{sources:.0f} 台の 1 年分 GB",
        "queries": "その照会 ms：一覧 / 1 日（分単位）/ 1 年",
        "pages": "その画面表示 ms：一覧 / 1 台の 1 年",
    },
}
STORES = ("sqlite", "postgresql")


def summary(table: pd.DataFrame) -> str:
    """The whole document; sections of what has not been measured are missing."""
    machine = table[table["measure"] == "machine"].set_index("figure")
    on = f"Python {machine['note']['python']}, {machine['value']['cores']:.0f} cores"
    head = f"# History\n\nOn {on} ({machine['note']['cores']}).\n"
    there = set(table["measure"])
    parts = [
        "\n\n".join(
            part
            for part in (
                title,
                of_measure(table),
                note,
                left_out(table, measure),
                f"`{_command(table, measure)}`\n",
            )
            if part
        )
        for measure, (title, of_measure, note) in SECTIONS.items()
        if measure in there
    ]
    return "\n".join([head, *parts])


def brief(table: pd.DataFrame, file: str, language: str = "en") -> str:
    """What a README quotes; `file` is the whole document, for a link."""
    words, rows = LINES[language], []

    def line(name: str, shown: Callable[[str], str], **told: float) -> None:
        cells = [shown(store) for store in STORES]
        if any(cells):
            rows.append([words[name].format(**told), *(cell or "–" for cell in cells)])

    def one(
        measure: str, figures: tuple[str, ...], digits: int = 0, variant: str = ""
    ) -> Callable[[str], str]:
        def shown(store: str) -> str:
            found = [value(table, measure, store, figure, variant) for figure in figures]
            return " / ".join(number(each, digits) for each in found if each is not None)

        return shown

    def wide(variants: tuple[str, ...]) -> Callable[[str], str]:
        def shown(store: str) -> str:
            found = [value(table, "year", store, "ms", variant) for variant in variants]
            return " / ".join(number(each, 0) for each in found if each is not None)

        return shown

    def added(store: str) -> str:
        kinds = (DIFFERENCE, DIFFERENCE + ANOMALIES)
        found = [value(table, "added", store, "cpu_us", kind) for kind in kinds]
        return " / ".join(number(each, 1) for each in found if each is not None)

    seconds = value(table, "sustained", "sqlite", "seconds") or 0.0
    line("sustained", one("sustained", ("written_per_second",)), seconds=seconds)
    line("dropped", one("sustained", ("dropped",)))
    line("added", added)
    for fault in ("killed", "full", "stopped"):
        line(fault, one("faults", ("anomalies_lost",), variant=fault))
    line("notified", one("notified", ("p50_ms", "p99_ms", "worst_ms")))
    sources = value(table, "year", "sqlite", "sources") or 0.0
    line("size", lambda store: _gigabytes(value(table, "year", store, "bytes")), sources=sources)
    line("queries", wide(("overview", "day_by_minute", "year_by_day")))
    line("pages", wide(("page_overview", "page_year")))
    made = MADE[language].format(command=_command(table, "sustained"), file=file)
    return f"{markdown(TITLES[language], rows)}\n\n{made}\n"


def value(
    table: pd.DataFrame, measure: str, store: str, figure: str, variant: str = ""
) -> float | None:
    """The median over rounds; None where it was not measured."""
    chosen = table[
        (table["measure"] == measure)
        & (table["server"] == store)
        & (table["figure"] == figure)
        & (table["variant"] == variant)
    ]
    return None if chosen.empty else float(chosen["value"].median())


def _command(table: pd.DataFrame, measure: str) -> str:
    return note_of(table, measure, "command").get("", COMMAND)


def _gigabytes(size: float | None) -> str:
    return "" if size is None else number(size / 1e9, 1)


def _wide(table: pd.DataFrame, measure: str) -> dict[tuple[str, str], dict[str, float]]:
    """The figures of each database and variant, medians over rounds."""
    chosen = table[(table["measure"] == measure) & (table["server"] != "")]
    chosen = chosen[chosen["figure"] != "failed"]
    found: dict[tuple[str, str], dict[str, float]] = {}
    grouped = chosen.groupby(["server", "variant", "figure"], sort=False)["value"].median()
    for (server, variant, figure), one in zip(grouped.index.tolist(), grouped, strict=True):
        found.setdefault((str(server), str(variant)), {})[str(figure)] = float(one)
    return found


def _sustained(table: pd.DataFrame) -> str:
    rows = [
        [
            store,
            number(one["seconds"], 0),
            number(one["per_second"], 0),
            number(one["written"], 0),
            number(one["dropped"], 0),
            number(one["waiting_at_end"], 0),
            number(one["written_per_second"], 0),
            f"{one['p50_us'] / 1e3:.1f} / {one['p99_us'] / 1e3:.1f}",
            number(one["cpu_us"], 0),
            number(one["database_cpu_us"], 0),
        ]
        for (store, _), one in _wide(table, "sustained").items()
    ]
    titles = [
        *("database", "s", "requests/s", "rows written", "dropped", "waiting at the end"),
        *("rows written a second", "p50 / p99 ms", "CPU µs a request", "of PostgreSQL"),
    ]
    return markdown(titles, rows)


def _added(table: pd.DataFrame) -> str:
    chosen = table[(table["measure"] == "added") & (table["figure"] == "cpu_us")]
    grouped = chosen.groupby("variant", sort=False)["value"]
    rows = [
        [
            ADDED[str(name)],
            *(number(float(one), 1) for one in (values.min(), values.median(), values.max())),
        ]
        for name, values in grouped
    ]
    return markdown(["history", "CPU µs a request, least", "median", "most"], rows)


def _faults(table: pd.DataFrame) -> str:
    rows = [
        [fault, store, *(number(one[figure], 0) for figure in FAULT_FIGURES)]
        for (store, fault), one in _wide(table, "faults").items()
    ]
    return markdown(["fault", "database", *FAULT_FIGURES.values()], rows)


def _notified(table: pd.DataFrame) -> str:
    rows = [
        [store, number(one["alarms"], 0), *(number(one[name], 0) for name in TIMES)]
        for (store, _), one in _wide(table, "notified").items()
    ]
    return markdown(["database", "alarms", "p50 ms", "p99 ms", "worst ms"], rows)


def _year(table: pd.DataFrame) -> str:
    wide = _wide(table, "year")
    whole = wide.pop(("sqlite", ""), {})
    rows = [
        [
            WHATS[what],
            number(one.get("points", float("nan")), 0),
            number(one["ms"], 0),
            number(one["worst_ms"], 0),
        ]
        for (_, what), one in wide.items()
    ]
    told = ""
    if whole:
        told = (
            f"{whole['sources']:.0f} sources, a row a second: trends of {whole['days']:.0f} days "
            f"and every row of the last {whole['row_days']:.0f} take {whole['bytes'] / 1e9:.1f} GB "
            f"of SQLite (made in {whole['made_seconds']:.0f} s).\n\n"
        )
    return told + markdown(["what", "points", "median ms", "worst ms"], rows)


ADDED = {
    WITH: "with",
    WITHOUT: "without",
    DIFFERENCE: "difference",
    WITH + ANOMALIES: "with, every hundredth row an anomaly",
    WITHOUT + ANOMALIES: "without, the same rows",
    DIFFERENCE + ANOMALIES: "difference",
}
TIMES = ("p50_ms", "p99_ms", "worst_ms")
FAULT_FIGURES = {
    "anomalies": "answered anomalies",
    "anomalies_lost": "of them lost",
    "normal": "answered normal rows",
    "normal_lost": "of them lost",
    "normal_counted": "counted as dropped",
    "refused": "answered with 503",
    "other_answers": "other answers",
}
WHATS = {
    "overview": "query: the overview",
    "hour_of_rows": "query: an hour of rows",
    "day_by_minute": "query: a day by minute, half the time ago",
    "year_by_day": "query: the whole time, by day",
    "page_overview": "page: the overview",
    "page_year": "page: a source over the year",
}
SECTIONS: dict[str, tuple[str, Callable[[pd.DataFrame], str], str]] = {
    "sustained": (
        "## Rows a second, sustained",
        _sustained,
        (
            "The client sends as fast as it is answered. Written: committed in the end, what then "
            "waits included."
        ),
    ),
    "added": (
        "## What it adds to a request",
        _added,
        (
            "Over SQLite, with and without a history in turn; the writer's work is included. "
            "The difference is of the rounds. An anomaly is committed before it is answered."
        ),
    ),
    "faults": (
        "## What is lost",
        _faults,
        (
            "Rows that a client was answered, looked for by request id afterwards. Of normal "
            "rows, those of the last half second or so are lost when the service is killed."
        ),
    ),
    "notified": (
        "## From an anomaly to its notification",
        _notified,
        "From the request whose anomaly begins an alarm to the arrival at an HTTP receiver.",
    ),
    "year": (
        "## A year",
        _year,
        (
            "Queries over HTTP, until the whole answer is there; pages in Chromium, from address "
            "to the drawing, each time with an empty cache."
        ),
    ),
}
