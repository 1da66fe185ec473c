"""What a verdict over HTTP costs, in short: the table that the README quotes and the sentences that
go with it, in both languages."""

import math
from collections.abc import Mapping

import pandas as pd

from bench.serving.peers import OURS
from bench.serving.records import note_of, of
from bench.tables import markdown, number

COMMAND = "make bench-serving"
TITLES = {
    "en": (
        "server",
        "CPU µs a request",
        "÷ ours",
        "requests/s",
        "p50 / p99 / p99.9 ms",
        "MiB, largest process / all",
        "start s",
    ),
    "ja": (
        "サーバー",
        "1 リクエストの CPU µs",
        "本サービス比",
        "リクエスト/秒",
        "p50 / p99 / p99.9 ms",
        "MiB（最大プロセス / 合計）",
        "起動 秒",
    ),
}
SWITCHES = {
    "en": {
        "validation": "validation, calibration and request ids",
        "keys": "keys",
        "metrics": "metrics",
        "history": "history",
    },
    "ja": {
        "validation": "入力検証・較正・リクエスト ID",
        "keys": "キー",
        "metrics": "メトリクス",
        "history": "履歴",
    },
}
ON = {"en": "Switched on in ours: {}.", "ja": "本サービスで有効にしたもの：{}。"}
OFF = {"en": " Not measured with: {}.", "ja": "計測に含まれないもの：{}。"}
LEFT_OUT = {
    "en": "- {} could not be measured: {}",
    "ja": "- {} は計測できませんでした：{}",
}
FAILED = {
    "en": "- {} failed {} requests: {}",
    "ja": "- {} は {} 件のリクエストに失敗しました：{}",
}
RATIO = {
    "en": "It starts in {} × the time of {}, and a worker then holds {} MiB.",
    "ja": "起動時間は {1} の {0} 倍で、起動後のワーカーのメモリは {2} MiB です。",
}
MADE = {
    "en": "`{command}` makes this table; [{file}]({file}) has more.",
    "ja": "この表は `{command}` で作られます。詳細は [{file}]({file}) にあります。",
}


def brief(table: pd.DataFrame, file: str, language: str = "en") -> str:
    """What a README quotes; `file` is the whole document, for a link."""
    parts = [
        request_table(table, language, whole=False),
        switched_on(table, language),
        left_out(table, "requests", language),
        start_ratio(table, language),
        MADE[language].format(command=command_of(table, "requests"), file=file),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def request_table(table: pd.DataFrame, language: str, *, whole: bool) -> str:
    """The cheapest first; `whole` adds the median of the CPU time."""
    cpu, ours = cpu_of(table)
    middle = of(table, "requests", "cpu_us")
    names = ("per_second", "p50_us", "p99_us", "p999_us", "worker_mib", "pss_mib", "start_s")
    found = {name: of(table, "requests", name) for name in names}
    rows = []
    for name in sorted(cpu, key=lambda one: cpu[one]):
        one = {figure: values[name] for figure, values in found.items()}
        times = (one[figure] / 1e3 for figure in ("p50_us", "p99_us", "p999_us"))
        costs = number(cpu[name], 0) + (f" ({number(middle[name], 0)})" if whole else "")
        rows.append(
            [
                f"**{name}**" if name == OURS else name,
                costs,
                number(cpu[name] / ours, 2),
                number(one["per_second"], 0),
                " / ".join(number(value, 1) for value in times),
                f"{one['worker_mib']:.0f} / {one['pss_mib']:.0f}",
                number(one["start_s"], 1),
            ]
        )
    return markdown(TITLES[language], rows)


def command_of(table: pd.DataFrame, measure: str) -> str:
    """The command that made the figures of a measure."""
    return note_of(table, measure, "command").get("", COMMAND)


def cpu_of(table: pd.DataFrame) -> tuple[Mapping[str, float], float]:
    """The least CPU time a request of each server, in µs, and that of the service."""
    cpu = of(table, "requests", "cpu_us", "min")
    return cpu, cpu.get(OURS, math.nan)


def switched_on(table: pd.DataFrame, language: str) -> str:
    """What the measured service did beside judging, as it was found to do."""
    found = {
        name: of(table, "requests", name).get(OURS, 0) for name in ("keys", "metrics", "history")
    }
    said = ["validation", *(name for name, on in found.items() if on)]
    missing = [name for name, on in found.items() if not on]
    text = ON[language].format(", ".join(SWITCHES[language][name] for name in said))
    if missing:
        text += OFF[language].format(", ".join(SWITCHES[language][name] for name in missing))
    return text


def left_out(table: pd.DataFrame, measure: str, language: str = "en") -> str:
    """A line for everything that could not be measured, and why; for failed requests too."""
    of_measure = table[table["measure"] == measure]
    lost = of_measure[of_measure["figure"] == "failed"].drop_duplicates(["server", "variant"])
    lines = [
        LEFT_OUT[language].format(f"{row.server} {row.variant}".strip(), row.note)
        for row in lost.itertuples()
    ]
    wrong = of_measure[of_measure["figure"] == "failed_requests"]
    lines += [
        FAILED[language].format(row.server, f"{row.value:.0f}", row.note)
        for row in wrong.itertuples()
    ]
    return "\n".join(lines)


def start_ratio(table: pd.DataFrame, language: str) -> str:
    """Ours beside the empty application; empty without both."""
    least, held = of(table, "starts", "start_s", "min"), of(table, "starts", "worker_mib")
    if OURS not in least or len(least) < 2:
        return ""
    [other] = [name for name in least if name != OURS]
    ratio = number(least[OURS] / least[other], 2)
    return RATIO[language].format(ratio, other, number(held[OURS], 0))
