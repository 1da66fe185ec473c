"""How well is what is strange told from what is normal, and is the false alarm rate kept?

Trains this project's detector, as the pipelines do, and its peers on every case below a folder
(bench/cases.py says what a case is), and writes detection.csv and detection.md into `out`. What is
there already is kept, so a run that was stopped goes on; remove a failed row to try it again.
Options of the detector are those of the pipelines; `variants` compares several in one run, and
`peers=[]` leaves the others out.

    python -m bench.detection data=FOLDER out=FOLDER [seeds=[0,1,2]] [alpha=[0.01]] [model=dense]
        [peers=[pyod_knn,t2_ledoit_wolf]] ['variants=["", "scorer=mahalanobis_error"]']
"""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.cases import CaseFolder, Kind, find_cases
from bench.outcome import Method, rate_text
from bench.peers import require_peers
from bench.records import Record, Results, failed, key_of, measured, names_of
from bench.summary import summary
from pipelines.command import command, setting

KINDS: tuple[Kind, ...] = ("exchangeable", "series")
OF_THE_BENCH = {"cases", "out", "seeds", "alpha", "variants", "peers", "name", *KINDS}
"""Settings that do not change what a detector is."""


@dataclass(frozen=True)
class Job:
    """One method on one case with one seed; `names` are those of the rows that it gives."""

    folder: CaseFolder
    method: Method
    seed: int
    names: Sequence[Record]


@command("bench_detection")
def main(config: DictConfig) -> None:
    overrides = list(HydraConfig.get().overrides.task)
    folders = find_cases(Path(setting(config, "cases", str)))
    methods = {kind: all_methods(config, kind, overrides) for kind in KINDS}
    seeds = setting(config, "seeds", Annotated[list[int], MinLen(1)])
    out = Path(setting(config, "out", str))
    results = Results(out / "detection.csv")
    jobs = [job for folder in folders for job in jobs_of(folder, methods[folder.kind], seeds)]
    names = [method.name for method in methods["exchangeable"]]
    # Where somebody keeps data is of no use to others.
    others = [one for one in overrides if not one.startswith(("cases=", "out="))]
    stated = shlex.join(["python", "-m", "bench.detection", "data=FOLDER", "out=FOLDER", *others])
    for _ in run(jobs, results):
        table = results.table([name for job in jobs for name in job.names])
        (out / "detection.md").write_text(summary(table, names, stated), encoding="utf-8")
    print(f"{out / 'detection.md'} and {out / 'detection.csv'}")


def all_methods(config: DictConfig, kind: Kind, overrides: Sequence[str]) -> list[Method]:
    """This project's detector in every variant, then the peers, for one kind of case.

    Raises ConfigurationError for a value that cannot be used.
    """
    alphas = setting(config, "alpha", Annotated[list[float], MinLen(1)])
    peers = setting(config, "peers", list[str])
    require_peers(peers)
    of_kind = setting(config, kind, list[str])
    chosen = [one for one in overrides if one.lstrip("+~").split("=")[0] not in OF_THE_BENCH]
    own = []
    for variant in setting(config, "variants", list[str]):
        composed = compose("bench_detection", [*of_kind, *overrides, *shlex.split(variant)])
        name = " ".join([composed.name, *chosen, *shlex.split(variant)])
        own.append(Method(name, composed, alphas))
        own[-1].check()
    common = compose("bench_detection", [*of_kind, *overrides])
    return own + [Method(peer, common, alphas, peer) for peer in peers]


def jobs_of(folder: CaseFolder, methods: Sequence[Method], seeds: Sequence[int]) -> Iterator[Job]:
    """Every method with every seed on one case."""
    digest = folder.digest()
    for method in methods:
        key = key_of(digest, method)
        rates = [rate_text(threshold) for threshold in method.thresholds()]
        for seed in seeds:
            names = [names_of(folder, method, seed, key, rate) for rate in rates]
            yield Job(folder, method, seed, names)


def run(jobs: Sequence[Job], results: Results) -> Iterator[None]:
    """Do the jobs whose results are not there, and pause after each case."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    open_jobs = [job for job in jobs if not all(results.has(names) for names in job.names)]
    with Progress(*columns, disable=not open_jobs) as progress:
        task = progress.add_task("", total=len(jobs), completed=len(jobs) - len(open_jobs))
        for folder, of_case in groupby(open_jobs, lambda job: job.folder):
            for job in of_case:
                named = f"{folder.suite}/{folder.name} {job.method.name} seed {job.seed}"
                progress.update(task, description=named)
                results.add(records(job))
                progress.advance(task)
            yield
    if not open_jobs:
        yield


def records(job: Job) -> list[Record]:
    """The rows of one job: what was measured, or why there is nothing."""
    try:
        case = job.folder.read()
        outcome = job.method.run(case, job.seed)
    except Exception as error:  # whatever a method raises on a case belongs in the table
        return [failed(names, job.folder.kind, error) for names in job.names]
    return measured(job.names[0], case, job.method, outcome)


def with_folder(arguments: Sequence[str]) -> list[str]:
    """`data=FOLDER` as the setting `cases`: in `conf/`, `data` is a group of files."""
    return [re.sub("^data=", "cases=", argument) for argument in arguments]


if __name__ == "__main__":
    sys.argv[1:] = with_folder(sys.argv[1:])
    main()
