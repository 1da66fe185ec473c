"""Results as tables in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from kizashi.evaluation.comparison import Measure
from kizashi.evaluation.report import Evaluation
from kizashi.runtime.bundle import Bundle


def print_evaluation(evaluation: Evaluation, bundle: Bundle) -> None:
    """False alarms beside what was asked for, then detection fault by fault."""
    console = Console()
    threshold, holdout = bundle.detector.threshold, evaluation["holdout"]
    console.print(f"bundle {bundle.hash[:12]}, threshold {threshold.value:.6g}", highlight=False)
    console.print(f"  {threshold.kind}: {threshold.guarantee}", highlight=False)
    if threshold.reason:
        console.print(f"  {threshold.reason}", highlight=False)
    if threshold.warning:
        console.print(f"[yellow]warning:[/] {threshold.warning}")
    console.print(
        f"false alarms on {holdout['rows']:,} holdout rows: {holdout['false_alarm_rate']:.3%}",
        highlight=False,
    )
    if "band_low" not in holdout and holdout.get("false_alarm_rate_asked") is not None:
        console.print(f"  asked for {holdout['false_alarm_rate_asked']:.3%}", highlight=False)
    if "band_low" in holdout:
        console.print(
            f"  asked for {holdout['false_alarm_rate_asked']:.3%}; 95 % of such splits fall "
            f"between {holdout['band_low']:.3%} and {holdout['band_high']:.3%}",
            highlight=False,
        )
        if not holdout["within_band"]:
            console.print("[yellow]warning:[/] it is outside: calibration and holdout rows differ")
    if "labelled" in evaluation:
        _print_labelled(console, evaluation["labelled"])


def print_comparison(measures: Sequence[Measure], candidate: str, production: str) -> None:
    """Both versions side by side."""
    table = Table(title="the same rows, judged by both")
    table.add_column("measure")
    table.add_column(f"version {candidate} (candidate)", justify="right")
    table.add_column(f"version {production} (production)", justify="right")
    for measure in measures:
        table.add_row(
            measure.name, *(_exact(value) for value in (measure.candidate, measure.production))
        )
    Console().print(table)


def _print_labelled(console: Console, labelled: Evaluation) -> None:
    if "warning" in labelled:
        console.print(f"[yellow]warning:[/] {labelled['warning']}")
    table = Table(Column("labelled rows", no_wrap=True))
    for title, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for name, one in [("all faults", labelled), *labelled["faults"].items()]:
        table.add_row(escape(name), *(_figure(one.get(key)) for _, key in _COLUMNS))
    console.print(table)


_COLUMNS = (
    ("faulty", "faulty_rows"),
    ("found", "recall"),
    ("by limits", "sensor_limits_recall"),
    ("precision", "precision"),
    ("AUROC", "auroc"),
    ("AUPRC", "auprc"),
)


def _figure(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _exact(value: float | None) -> str:
    """Digits enough for a false alarm rate of one in ten thousand."""
    return "–" if value is None else f"{value:.5f}"
