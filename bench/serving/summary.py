"""The results as Markdown: a section for each measure."""

import math
from collections.abc import Callable

import pandas as pd

from bench.serving.brief import (
    command_of,
    cpu_of,
    left_out,
    request_table,
    start_ratio,
    switched_on,
)
from bench.serving.peers import OURS, PEERS
from bench.serving.records import note_of, of
from bench.tables import markdown, number

READERS = "pyarrow of CSV, Arrow and Parquet, msgspec of JSON"
ABOUT_REQUESTS = (
    "Each request has an id of its own. CPU: user and system time of all processes of a server, "
    "for each request: the least of the rounds, which other work on the machine hardly moves, and "
    "the median. The other figures are "
    "medians; requests a second and latency suffer from whatever else runs. Memory after load: "
    "resident in the largest process / of all, shared pages once. Start: once, with one core."
)


def summary(table: pd.DataFrame) -> str:
    """The whole document."""
    machine = table[(table["measure"] == "machine")].set_index("figure")
    on = f"Python {machine['note']['python']}, {machine['value']['cores']:.0f} cores"
    head = f"# Serving\n\nOn {on} ({machine['note']['cores']}).\n"
    there = set(table["measure"])
    parts = [
        f"{section(table)}\n`{command_of(table, measure)}`\n"
        for measure, section in SECTIONS.items()
        if measure in there
    ]
    return "\n".join([head, *parts])


def _requests(table: pd.DataFrame) -> str:
    cpu, _ = cpu_of(table)
    versions = note_of(table, "requests", "versions")
    whats = [f"- {name}: {PEERS[name].what[0]} ({versions.get(name, '')})" for name in cpu]
    return _section(
        "## One row a request",
        request_table(table, "en", whole=True),
        ABOUT_REQUESTS,
        switched_on(table, "en"),
        "\n".join(whats),
        left_out(table, "requests"),
    )


def _starts(table: pd.DataFrame) -> str:
    least, middle = (of(table, "starts", "start_s", how) for how in ("min", "median"))
    cpu, held = of(table, "starts", "start_cpu_s", "min"), of(table, "starts", "worker_mib")
    rows = [
        [name, *(number(one[name], 2) for one in (least, middle, cpu)), number(held[name], 0)]
        for name in least
    ]
    titles = ["server", "start s, least", "median", "CPU s", "MiB, largest process"]
    note = (
        "From the start of the process to its first good answer, in turn, with a cached bundle and "
        "all cores. CPU: of all processes until then."
    )
    ratio, lost = start_ratio(table, "en"), left_out(table, "starts")
    return _section("## Start", markdown(titles, rows), ratio, note, lost)


def _batches(table: pd.DataFrame) -> str:
    found = _best(table, "rows_per_second")
    clock = _best(table, "rows_per_second_by_the_clock")
    memory = found.get(("in_memory", ""), math.nan)
    rows = []
    for server, variant in found:
        if server == OURS:
            served, parsed = found[server, variant], found.get(("parser", variant), math.nan)
            both = 1 / (1 / memory + 1 / parsed)
            shares = [f"{served / memory:.0%}", number(parsed, 0), f"{served / both:.0%}"]
            rows.append(
                [variant, number(served, 0), *shares, number(clock[server, variant], 0)],
            )
    titles = [
        "format",
        "rows a CPU second",
        "of the detector on arrays",
        "parser alone",
        "of parser and detector",
        "rows a second by the clock",
    ]
    note = (
        f"The detector alone judges {number(memory, 0)} rows a CPU second on arrays in memory. "
        f"Parsers: {READERS}, each into one array. The best round of each."
    )
    lost = left_out(table, "batches")
    return _section("## Many rows in one request", markdown(titles, rows), note, lost)


def _best(table: pd.DataFrame, figure: str) -> dict[tuple[str, str], float]:
    chosen = table[(table["measure"] == "batches") & (table["figure"] == figure)]
    best = chosen.groupby(["server", "variant"], sort=False)["value"].max()
    names = ((str(server), str(variant)) for server, variant in best.index.tolist())
    return dict(zip(names, map(float, best), strict=True))


def _wide(table: pd.DataFrame, measure: str) -> dict[str, dict[str, float]]:
    """For each variant the medians of its figures, and `failures` and `swaps` in all."""
    chosen = table[(table["measure"] == measure) & (table["variant"] != "")]
    found: dict[str, dict[str, float]] = {}
    for (variant, figure), values in chosen.groupby(["variant", "figure"], sort=False)["value"]:
        if figure != "failed":
            total = figure in ("failures", "swaps")
            value = float(values.sum() if total else values.median())
            found.setdefault(str(variant), {})[str(figure)] = value
    return found


def _stream(table: pd.DataFrame) -> str:
    sent = of(table, "stream", "rows")[OURS]
    rows = [
        [
            name,
            number(sent / one["cpu_s"], 0),
            number(one["seconds"], 0),
            f"{one['before_mib']:.0f} → {one['peak_mib']:.0f}",
            number(one["health_worst_ms"], 0),
        ]
        for name, one in _wide(table, "stream").items()
    ]
    titles = ["format", "rows a CPU second", "s", "MiB before → peak", "slowest /health/live, ms"]
    note = (
        f"{sent:,.0f} rows in one request, sent in chunks. Memory of the largest process; the peak "
        "is what Linux recorded since just before the request."
    )
    return _section("## A stream of rows", markdown(titles, rows), note, left_out(table, "stream"))


def _swap(table: pd.DataFrame) -> str:
    rows = []
    for name, one in _wide(table, "swap").items():
        times = (one[figure] / 1e3 for figure in ("p50_us", "p99_us", "p999_us", "worst_us"))
        shown = " / ".join(number(value, 1) for value in times)
        counted = [f"{one[figure]:.0f}" for figure in ("swaps", "failures")]
        rows.append([name, shown, number(one["per_second"], 0), *counted])
    titles = ["", "p50 / p99 / p99.9 / worst ms", "requests/s", "swaps", "failed requests"]
    note = "The same load with and without versions that take each other's place, in turn."
    lost = left_out(table, "swap")
    return _section("## Versions swapped under load", markdown(titles, rows), note, lost)


def _workers(table: pd.DataFrame) -> str:
    wide, cores = _wide(table, "workers"), of(table, "workers", "cores")[OURS]
    alone = wide.get("1", {}).get("per_second", math.nan)
    rows = [
        [
            name,
            number(one["per_second"], 0),
            number(one["per_second"] / alone, 2),
            number(one["cpu_us"], 0),
            number(one["p99_us"] / 1e3, 1),
            number(one["pss_mib"], 0),
        ]
        for name, one in wide.items()
    ]
    titles = ["workers", "requests/s", "÷ one worker", "CPU µs", "p99 ms", "MiB, all processes"]
    quota = of(table, "workers", "quota").get(OURS)
    if quota is not None:
        note = f"Each worker has a quota of {quota:g} of a core, and the client the rest;"
        note += " each has as many connections as the one."
    else:
        note = f"On {cores:.0f} cores; the client takes " + (
            "one that the workers do not use."
            if cores > 2
            else "its part of them, so this cannot show what a second worker is worth."
        )
    return _section("## Workers", markdown(titles, rows), note, left_out(table, "workers"))


def _section(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


SECTIONS: dict[str, Callable[[pd.DataFrame], str]] = {
    "requests": _requests,
    "starts": _starts,
    "batches": _batches,
    "stream": _stream,
    "swap": _swap,
    "workers": _workers,
}
