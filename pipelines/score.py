"""Score a CSV or Parquet file of any size, as a stream.

    python -m pipelines.score input=new.csv output=scores.parquet
    python -m pipelines.score input=new.parquet output=scores.csv model=model/

The production version scores, or what `model` names. Columns are found by the sensors' names. The
output has one row for each row of the input, in order; a row that cannot be scored says why.
"""

import math
import sys
import time
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kizashi.data.cells import times
from kizashi.data.load import TIMESTAMP, find_timestamp, listed
from kizashi.data.source import FIND
from kizashi.data.stream import TableStream, open_table
from kizashi.data.stretches import AUTO, MaxStep, longest_step, require_max_step
from kizashi.data.verdict_file import VerdictFile
from kizashi.data.verdicts import RowJudge
from kizashi.errors import ConfigurationError, DataError
from kizashi.registry import Registry
from kizashi.runtime.bundle import load_bundle
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector
from kizashi.tracking import Tracking
from pipelines.command import build, command, setting

VERDICT_COLUMNS = ("score", "status", "p_value", "severity", "top_sensor", "reason")


@command("score")
def main(config: DictConfig) -> None:
    source, output = Path(setting(config, "input", str)), Path(setting(config, "output", str))
    timestamp = setting(config, "data.timestamp", str | None)
    max_step = setting(config, "data.max_step", float | str | None)
    require_max_step(max_step)
    tracking: Tracking = build(config.tracking)
    _require_another_file(source, output)
    verdicts, table = VerdictFile(output), open_table(source)  # before the seconds of a registry
    detector = find_detector(setting(config, "model.uri", str), Registry(tracking.uri))
    started = time.perf_counter()
    judge = score_table(detector, table, verdicts, timestamp, max_step)
    seconds = time.perf_counter() - started
    print(
        f"{judge.rows:,} rows in {seconds:.1f} s ({judge.rows / seconds:,.0f} rows/s): "
        f"{judge.anomalies:,} anomalies, {judge.bad:,} bad rows; the scores are in {output}"
    )
    if judge.filled:
        print(f"{judge.filled:,} rows with missing values, which were filled in")
    if judge.pauses:
        before = detector.contract.window_length - 1
        print(f"{judge.pauses:,} pauses; up to {before} rows after each have no whole window")
    for sentence in judge.first_bad:
        print(f"  {sentence}")
    if judge.bad > len(judge.first_bad):
        print("  … (each bad row says why in the column 'reason')")
    if not judge.judged:
        length = detector.contract.window_length
        needed = "" if length == 1 else f"; {length} good rows in succession are needed"
        raise DataError(f"none of the {judge.rows:,} rows could be judged{needed}")


def score_table(
    detector: Detector,
    table: TableStream,
    verdicts: VerdictFile,
    timestamp: str | None = FIND,
    max_step: MaxStep = AUTO,
) -> RowJudge:
    """Write the verdict on each row of `table`; returns the judge with its counts.

    `timestamp` is the column to keep beside them, None for none. A step of more than `max_step` in
    it is a pause, over which no window reaches; the usual step is that of the first rows. Raises
    DataError for a missing column; nothing is written then.
    """
    contract = detector.contract
    kept = _time_column(table, contract, timestamp)
    missing = [f"'{name}'" for name in contract.names if name not in table.columns]
    if missing:
        raise DataError(
            f"sensor{'s' if len(missing) > 1 else ''} {', '.join(missing)} missing in "
            f"'{table.path}'; it has the columns {listed(table.columns)}"
        )
    longest = longest_step(times(table.head()[kept]), max_step) if kept else math.inf
    judge = RowJudge(detector, kept, longest)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with (
        verdicts,
        Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress,
    ):
        task = progress.add_task("scoring", total=table.size, rows=0)
        for frame in table.pieces([*contract.names, *([kept] if kept else [])]):
            verdicts.write(judge.judge(frame))
            progress.update(task, completed=table.position, rows=judge.rows)
    return judge


def find_detector(model: str, registry: Registry) -> Detector:
    """The detector of a model URI or in a bundle folder, tried on its own example."""
    if not model.startswith(("models:", "runs:")):
        bundle = load_bundle(Path(model))
        bundle.check_example()
        return bundle.detector
    from pipelines.compare import fetch_bundle

    version = registry.resolve(model)
    bundle = fetch_bundle(registry, version)
    print(f"version {version.version} of '{version.name}' scores (bundle {bundle.hash[:12]})")
    return bundle.detector


def _time_column(table: TableStream, contract: DataContract, timestamp: str | None) -> str | None:
    """The column of times to keep, None for none."""
    if timestamp == FIND:
        free = [name for name in table.columns if name not in contract.names]
        if TIMESTAMP in free:
            return TIMESTAMP
        return find_timestamp(table.head()[free])
    if timestamp is not None and timestamp not in table.columns:
        raise DataError(
            f"data.timestamp is '{timestamp}', and '{table.path}' has the columns "
            f"{listed(table.columns)}"
        )
    if timestamp in (*contract.names, *VERDICT_COLUMNS):
        raise ConfigurationError(
            f"data.timestamp is '{timestamp}', which is a sensor or a column of the output; "
            "another column or null is needed"
        )
    return timestamp


def _require_another_file(source: Path, output: Path) -> None:
    same = output.exists() and source.exists() and output.samefile(source)
    if same or output.resolve() == source.resolve():
        raise ConfigurationError(f"output is '{output}', the input itself; another file is needed")


def run() -> None:
    """The command. Networks are a group of `conf/` named `model`, so Hydra would look for `model=X`
    among them; here it means the one model that scores."""
    short = "model="
    sys.argv[1:] = [
        f"model.uri={argument.removeprefix(short)}" if argument.startswith(short) else argument
        for argument in sys.argv[1:]
    ]
    main()


if __name__ == "__main__":
    run()
