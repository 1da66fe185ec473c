"""Results as tables in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from kizashi.evaluation.comparison import Measure
from kizashi.evaluation.report import Evaluation
from kizashi.runtime.bundle import Bundle


def print_evaluation(evaluation: Evaluation, bundle: Bundle) -> None:
    """False alarms beside what was asked for, then detection fault by fault."""
    console = Console()
    threshold, holdout = bundle.detector.threshold, evaluation["holdout"]
    console.print(f"bundle [bold]{bundle.hash[:12]}[/]  threshold {threshold.value:.6g}", end="")
    console.print(f" ({threshold.kind}; {threshold.guarantee})")
    if threshold.warning:
        console.print(f"[yellow]warning:[/] {threshold.warning}")
    line = f"false alarms on {holdout['rows']:,} holdout rows: {holdout['false_alarm_rate']:.4%}"
    if "band_low" in holdout:
        line += (
            f"; asked for {holdout['false_alarm_rate_asked']:.4%}, 95 % band "
            f"{holdout['band_low']:.4%} to {holdout['band_high']:.4%}"
        )
        if not holdout["within_band"]:
            line += " [yellow](outside: calibration and holdout rows differ)[/]"
    console.print(line, highlight=False)
    if "labelled" in evaluation:
        _print_labelled(console, evaluation["labelled"])


def print_comparison(measures: Sequence[Measure], candidate: str, production: str) -> None:
    """Both versions side by side."""
    table = Table(title="the same rows, judged by both")
    table.add_column("measure")
    table.add_column(f"version {candidate} (candidate)", justify="right")
    table.add_column(f"version {production} (production)", justify="right")
    for measure in measures:
        table.add_row(measure.name, _figure(measure.candidate), _figure(measure.production))
    Console().print(table)


def _print_labelled(console: Console, labelled: Evaluation) -> None:
    table = Table("labelled rows", *(_right(title) for title, _ in _COLUMNS))
    for name, one in [("all faults", labelled), *labelled["faults"].items()]:
        table.add_row(name, *(_figure(one.get(key)) for _, key in _COLUMNS))
    console.print(table)


_COLUMNS = (
    ("faulty", "faulty_rows"),
    ("found", "recall"),
    ("by sensor limits", "sensor_limits_recall"),
    ("precision", "precision"),
    ("F1", "f1"),
    ("AUROC", "auroc"),
    ("AUPRC", "auprc"),
)


def _right(title: str) -> "object":
    from rich.table import Column

    return Column(title, justify="right")


def _figure(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
