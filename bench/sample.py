"""Does the bundled sample earn its place, and is the false alarm rate kept on other simulations?

Simulates the press line with each seed, fits the default model on it, and sets what it finds beside
limits per sensor at the same false alarm rate. Rows are labelled by the rule in
docs/sample-data.md, which was written down before anything was measured.

A sensor is at fault in a row when the fault moved its reading by more than its tolerance, which is
the rule of the labels sensor by sensor. Wear moves vibration, a stuck sensor itself alone. Overload
and lubrication loss move current and sound together, so two or three sensors are at fault, and what
is broken is their relation to the one that is right: from readings alone nobody can tell which side
of a relation is wrong. "Names" is the share of found rows in which a sensor at fault contributes
most; `alone` has the rows where just one is at fault, which is what can be told. `furthest_named`
asks for the sensor that moved furthest, in tolerances.

    python -m bench.sample [seeds=[0,1,2]] [out=bench/results] [readme.en=null readme.ja=null]
"""

import math
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import track

from bench.brief import quote
from kizashi.data.simulate import TOLERANCE, PressLineSample, simulate_press_line
from kizashi.data.source import DataSource
from kizashi.evaluation.report import Evaluation, evaluate
from kizashi.evaluation.sensor_limits import SensorLimits
from kizashi.runtime.detector import Detector
from kizashi.training.fit import NormalRows, fit_bundle
from pipelines.command import build, command, setting
from pipelines.recipe import recipe
from pipelines.rows import labelled_rows, readings, sensor_rows
from pipelines.train import NORMAL_PARTS

COMMAND = "python -m bench.sample"
ENGLISH = (
    "Simulation seed {seed}, which is the bundled sample. Over {count} seeds ({seeds}): found "
    "{found}, by limits per sensor {limits}, AUROC {low}–{high}, a sensor at fault named first in "
    "{named} of found rows, and in {alone} of those with one alone; false alarm rate on holdout "
    "{rate}{banded}.\n\n"
    "`{command}` makes this table."
)
JAPANESE = (
    "同梱サンプル（シミュレーションのシード {seed}）の結果です。{count} 個のシード（{seeds}）"
    "では、検出率 {found}、センサーごとの上下限では {limits}、AUROC {low}–{high}、検出した行のうち"
    "異常センサーを最上位に示した割合 {named}（異常が 1 個だけの行では {alone}）。"
    "ホールドアウトでの誤報率は {rate} {banded}。\n\n"
    "この表は `{command}` で作られます。"
)
BANDED = {
    "en": ", within the 95 % band ({band}) for {inside} of {count}",
    "ja": "で、{count} 回中 {inside} 回が 95 % 区間（{band}）に収まりました",
}
# Windows that share rows depend on one another: no band is known for them.
UNBANDED = {"en": "", "ja": "です"}
TEXTS = {
    "en": (
        (
            "fault",
            "faulty rows",
            "found by limits per sensor",
            "found by Kizashi",
            "AUROC",
            "names a sensor at fault",
            "where one alone is (rows)",
        ),
        ENGLISH,
    ),
    "ja": (
        (
            "故障",
            "異常行数",
            "センサーごとの上下限",
            "Kizashi",
            "AUROC",
            "異常センサーを特定",
            "異常が 1 個だけの行（行数）",
        ),
        JAPANESE,
    ),
}


@command("bench_sample")
def main(config: DictConfig) -> None:
    out = Path(setting(config, "out", str))
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in track(setting(config, "seeds", list[int]), "simulations"):
        rows += _rows(seed, *_measured(config, seed))
    recorded = out / "sample.csv"
    pd.DataFrame(rows).to_csv(recorded, index=False, float_format="%.6g", lineterminator="\n")
    table = pd.read_csv(recorded)  # what is quoted is what is recorded, to the last digit
    stated = made_by(HydraConfig.get().overrides.task)
    summary = sample_summary(table, made_by=stated)
    (out / "sample.md").write_text(f"# The bundled sample\n\n{summary}", encoding="utf-8")
    for language, document in setting(config, "readme", dict[str, str | None]).items():
        if document is not None:
            quote(Path(document), "bench.sample", sample_summary(table, language, stated))
    print(summary)


def made_by(overrides: Sequence[str]) -> str:
    """The command that measures the same; where the results go is of no use to others."""
    stated = [one for one in overrides if not one.startswith(("out=", "readme"))]
    return shlex.join([*shlex.split(COMMAND), *stated])


def _measured(config: DictConfig, seed: int) -> tuple[Evaluation, pd.DataFrame]:
    """Fit the configured detector on one simulation, as the stages would, and evaluate it; with
    what `named_sensors` says of it."""
    sample = simulate_press_line(seed)
    source: DataSource = build(config.data)
    contract = source.contract(sample.normal, config.window.length)
    split = build(config.split)
    parts = split(sample.normal, contract.window_length)
    normal = NormalRows(
        *(sensor_rows(parts[name], contract) for name in NORMAL_PARTS), in_time=split.in_time
    )
    with tempfile.TemporaryDirectory() as folder:
        detector = fit_bundle(recipe(config), contract, normal, Path(folder) / "bundle").detector
    seen = pd.concat([parts[name] for name in NORMAL_PARTS])
    alpha = detector.threshold.false_alarm_rate
    assert alpha is not None  # the table compares at one rate
    limits = SensorLimits.fit(readings(seen, contract), alpha)
    labelled = labelled_rows(sample.labelled, contract)
    evaluation = evaluate(detector, sensor_rows(parts["holdout"], contract), labelled, limits)
    return evaluation, named_sensors(detector, sample)


def named_sensors(detector: Detector, sample: PressLineSample) -> pd.DataFrame:
    """One row for each labelled row that is found: its `fault`, whether the sensor that contributes
    most is `at_fault`, whether it moved `furthest`, and whether one is at fault `alone`."""
    names = list(detector.contract.names)
    tolerance_F = np.array([TOLERANCE[name] for name in names])
    rows_NF = sample.labelled[names].to_numpy()
    moved_NF = np.abs(rows_NF - sample.healthy[names].to_numpy()) / tolerance_F
    verdicts = detector.judge(detector.windows(rows_NF))
    last = slice(len(rows_NF) - len(verdicts.score_B), None)
    moved_BF, labelled = moved_NF[last], sample.labelled[last]
    found_B = verdicts.anomaly_B & (labelled["label"] == 1).to_numpy()
    first_B = verdicts.contribution_BF.argmax(axis=1)
    named = {
        "fault": labelled["fault"],
        "at_fault": moved_BF[np.arange(len(first_B)), first_B] > 1,
        "alone": (moved_BF > 1).sum(axis=1) == 1,
        "furthest": moved_BF.argmax(axis=1) == first_B,
    }
    return pd.DataFrame(named)[found_B]


def _rows(seed: int, evaluation: Evaluation, named: pd.DataFrame) -> list[dict[str, Any]]:
    """One record for all faults and one a fault."""
    holdout, labelled = evaluation["holdout"], evaluation["labelled"]
    of_all = {
        name: holdout.get(name, math.nan)  # no band where its law does not hold
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
            "sensor_named": float(of_fault["at_fault"].mean()),
            "alone": int(of_fault["alone"].sum()),
            "alone_named": float(of_fault.loc[of_fault["alone"], "at_fault"].mean()),
            "furthest_named": float(of_fault["furthest"].mean()),
            **{f"holdout_{key}": value for key, value in of_all.items()},
        }
        for name, one in faults
        for of_fault in [named if name == "all" else named[named["fault"] == name]]
    ]


def sample_summary(table: pd.DataFrame, language: str = "en", made_by: str = COMMAND) -> str:
    """The table and the sentences below it, as the README quotes them."""
    every = table[table.fault == "all"]
    first = table[table.seed == table.seed.min()]
    header, text = TEXTS[language]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [
        f"| {row.fault.replace('_', ' ')} | {row.faulty_rows:,} | {row.found_by_limits:.1%} | "
        f"{row.found:.1%} | {row.auroc:.4f} | {row.sensor_named:.1%} | "
        f"{_share(row.alone_named)} ({row.alone:,}) |"
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
        "named": _span(every.sensor_named),
        "alone": _span(every.alone_named),
        "rate": _span(rate, 3),
        "band": f"{every.holdout_band_low.iloc[0]:.3%}–{every.holdout_band_high.iloc[0]:.3%}",
        "inside": inside.sum(),
        "command": made_by,
    }
    known = every.holdout_band_high.notna().all()
    figures["banded"] = (BANDED if known else UNBANDED)[language].format(**figures)
    return "\n".join([*lines, "", text.format(**figures), ""])


def _span(values: pd.Series, digits: int = 1) -> str:
    return f"{values.min():.{digits}%}–{values.max():.{digits}%}"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


if __name__ == "__main__":
    main()
