"""Does the bundled sample earn its place, and is the false alarm rate kept on other simulations?

Simulates the press line with each seed, fits the default model on it, and sets what it finds beside
limits per sensor at the same false alarm rate. Rows are labelled by the rule in
docs/sample-data.md, which was written down before anything was measured.

    python -m bench.sample [seeds=[0,1,2]] [out=bench/results]
"""

import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.progress import track

from kizashi.data.simulate import simulate_press_line
from kizashi.data.source import DataSource
from kizashi.evaluation.report import Evaluation, evaluate
from kizashi.evaluation.sensor_limits import SensorLimits
from kizashi.training.fit import NormalRows, fit_bundle
from pipelines.command import build, command, setting
from pipelines.recipe import recipe
from pipelines.rows import labelled_rows, readings
from pipelines.train import NORMAL_PARTS

MARKS = re.compile(r"(<!-- bench\.sample -->\n).*?(<!-- /bench\.sample -->)", re.DOTALL)

ENGLISH = (
    "Simulation seed {seed}, which is the bundled sample. Over {count} seeds ({seeds}): found "
    "{found}, by limits per sensor {limits}, AUROC {low}–{high}; false alarm rate on holdout "
    "{rate}, within the 95 % band ({band}) for {inside} of {count}.\n\n"
    "`python -m bench.sample` makes this table."
)
JAPANESE = (
    "同梱サンプル（シミュレーションのシード {seed}）の結果です。{count} 個のシード（{seeds}）"
    "では、検出率 {found}、センサーごとの上下限では {limits}、AUROC {low}–{high}。"
    "ホールドアウトでの誤報率は {rate} で、{count} 回中 {inside} 回が 95 % 区間（{band}）に"
    "収まりました。\n\n"
    "この表は `python -m bench.sample` で作られます。"
)
TEXTS = {
    "en": (
        ("fault", "faulty rows", "found by limits per sensor", "found by Kizashi", "AUROC"),
        ENGLISH,
    ),
    "ja": (("故障", "異常行数", "センサーごとの上下限", "Kizashi", "AUROC"), JAPANESE),
}


@command("bench_sample")
def main(config: DictConfig) -> None:
    out = Path(setting(config, "out", str))
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in track(setting(config, "seeds", list[int]), "simulations"):
        rows += _rows(seed, _measured(config, seed))
    table = pd.DataFrame(rows)
    table.to_csv(out / "sample.csv", index=False, float_format="%.6g", lineterminator="\n")
    summary = _summary(table)
    (out / "sample.md").write_text(f"# The bundled sample\n\n{summary}", encoding="utf-8")
    for language, document in setting(config, "readme", dict[str, str]).items():
        _quote(Path(document), _summary(table, language))
    print(summary)


def _measured(config: DictConfig, seed: int) -> Evaluation:
    """Fit the configured detector on one simulation, as the stages would, and evaluate it."""
    sample = simulate_press_line(seed)
    source: DataSource = build(config.data)
    contract = source.contract(sample.normal, config.window.length)
    split = build(config.split)
    parts = split(sample.normal, contract.window_length)
    normal = NormalRows(
        *(readings(parts[name], contract) for name in NORMAL_PARTS), in_time=split.in_time
    )
    with tempfile.TemporaryDirectory() as folder:
        detector = fit_bundle(recipe(config), contract, normal, Path(folder) / "bundle").detector
    seen = pd.concat([parts[name] for name in NORMAL_PARTS])
    alpha = detector.threshold.false_alarm_rate
    assert alpha is not None  # the table compares at one rate
    limits = SensorLimits.fit(readings(seen, contract), alpha)
    labelled = labelled_rows(sample.labelled, contract)
    return evaluate(detector, readings(parts["holdout"], contract), labelled, limits)


def _rows(seed: int, evaluation: Evaluation) -> list[dict[str, Any]]:
    """One record for all faults and one a fault."""
    holdout, labelled = evaluation["holdout"], evaluation["labelled"]
    of_all = {
        name: holdout[name]
        for name in ("false_alarms", "rows", "false_alarm_rate", "band_low", "band_high")
    }
    faults = [("all", labelled), *labelled["faults"].items()]
    return [
        {
            "seed": seed,
            "fault": name,
            "faulty_rows": one["faulty_rows"],
            "found": one["recall"],
            "found_by_limits": one["sensor_limits_recall"],
            "auroc": one["auroc"],
            "auprc": one["auprc"],
            **{f"holdout_{key}": value for key, value in of_all.items()},
        }
        for name, one in faults
    ]


def _summary(table: pd.DataFrame, language: str = "en") -> str:
    every = table[table.fault == "all"]
    first = table[table.seed == table.seed.min()]
    header, text = TEXTS[language]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [
        f"| {row.fault.replace('_', ' ')} | {row.faulty_rows:,} | {row.found_by_limits:.1%} | "
        f"{row.found:.1%} | {row.auroc:.4f} |"
        for row in first.itertuples()
    ]
    rate = every.holdout_false_alarm_rate
    inside = rate.between(every.holdout_band_low, every.holdout_band_high)
    figures = {
        "seed": table.seed.min(),
        "count": len(every),
        "seeds": f"{table.seed.min()}–{table.seed.max()}",
        "found": _span(every.found),
        "limits": _span(every.found_by_limits),
        "low": f"{every.auroc.min():.4f}",
        "high": f"{every.auroc.max():.4f}",
        "rate": _span(rate, 3),
        "band": f"{every.holdout_band_low.iloc[0]:.3%}–{every.holdout_band_high.iloc[0]:.3%}",
        "inside": inside.sum(),
    }
    return "\n".join([*lines, "", text.format(**figures), ""])


def _span(values: pd.Series, digits: int = 1) -> str:
    return f"{values.min():.{digits}%}–{values.max():.{digits}%}"


def _quote(document: Path, summary: str) -> None:
    """Put the table between its marks, where a document has them."""
    if document.exists():
        text = document.read_text(encoding="utf-8")
        quoted = MARKS.sub(lambda marks: f"{marks[1]}{summary}{marks[2]}", text)
        document.write_text(quoted, encoding="utf-8")


if __name__ == "__main__":
    main()
