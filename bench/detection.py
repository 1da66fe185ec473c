"""How good is detection, beside other detectors, on cases that a folder holds?

Trains this project's detector, as the pipelines do, and its peers on every case below a folder
(bench/cases.py says what a case is). `measure` names what is measured of them; each has its module
and writes its CSV and its Markdown into `out`:

    ranking        detection.*      anomalies told from normal rows, false alarms, costs
    contributions  contributions.*  is a sensor that was shifted the one that is named?
    contamination  contamination.*  what do anomalies among the training rows cost?
    missing        missing.*        what does a sensor cost that is not there?

What is there already is kept, so a run that was stopped goes on; remove a failed row to try it
again. Options of the detector are those of the pipelines; `variants` compares several in one run,
and `peers=[]` leaves the others out. `readme.en=FILE` has that file quote the ranking.

    python -m bench.detection data=FOLDER out=FOLDER [measure=[ranking,contributions]]
        [seeds=[0,1,2]] [alpha=[0.1,0.05,0.01]] [model=dense] [peers=[pyod_knn,t2_ledoit_wolf]]
        ['variants=["", "scorer=mahalanobis_error"]']
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
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

from bench.brief import brief, make_command, quote
from bench.cases import Case, CaseFolder, Kind, find_cases
from bench.contamination import Contamination
from bench.contributions import Contributions
from bench.fitted import Fitted
from bench.measurement import Measurement, Skipped
from bench.methods import Method
from bench.missing import Missing
from bench.peers import require_peers
from bench.ranking import Ranking
from bench.records import Record, Results, failed, key_of, names_of
from bench.tables import SKIPPED
from pipelines.command import command, setting

KINDS: tuple[Kind, ...] = ("exchangeable", "series")
OF_THE_BENCH = {"cases", "out", "seeds", "alpha", "variants", "peers", "name", "measure", "readme"}
"""Settings that do not change what a detector is; nor do those of KINDS."""
Named = Literal["ranking", "contributions", "contamination", "missing"]
MEASUREMENTS: Mapping[Named, Measurement] = {
    "ranking": Ranking(),
    "contributions": Contributions(),
    "contamination": Contamination(),
    "missing": Missing(),
}


@dataclass(frozen=True)
class Job:
    """One measurement of one method on one case with one seed; `names` are those of the rows that
    it gives."""

    folder: CaseFolder
    method: Method
    seed: int
    measurement: Measurement
    names: Sequence[Record]


@dataclass
class Latest:
    """The case that was read last and the method that was fitted last: what is measured of one fit
    comes one after the other."""

    _case: tuple[CaseFolder, Case] | None = field(default=None, init=False)
    _fitted: tuple[tuple[CaseFolder, str, int], Fitted] | None = field(default=None, init=False)

    def case(self, folder: CaseFolder) -> Case:
        if self._case is None or self._case[0] != folder:
            self._case = folder, folder.read()
        return self._case[1]

    def fitted(self, job: Job) -> Fitted:
        wanted = job.folder, job.method.name, job.seed
        if self._fitted is None or self._fitted[0] != wanted:
            self._fitted = None  # a failed fit leaves nothing of another one
            self._fitted = wanted, job.method.fit(self.case(job.folder), job.seed)
        return self._fitted[1]


@command("bench_detection")
def main(config: DictConfig) -> None:
    overrides = list(HydraConfig.get().overrides.task)
    folders = find_cases(Path(setting(config, "cases", str)))
    methods = {kind: all_methods(config, kind, overrides) for kind in KINDS}
    seeds = setting(config, "seeds", Annotated[list[int], MinLen(1)])
    measure = setting(config, "measure", Annotated[list[Named], MinLen(1)])
    readme = setting(config, "readme", dict[Literal["en", "ja"], str | None])
    chosen = [MEASUREMENTS[name] for name in dict.fromkeys(measure)]
    out = Path(setting(config, "out", str))
    results = {one.file: Results(out / f"{one.file}.csv", one.columns) for one in chosen}
    jobs = [
        job for folder in folders for job in jobs_of(folder, methods[folder.kind], seeds, chosen)
    ]
    names = [method.name for method in methods["exchangeable"]]
    # Where somebody keeps data is of no use to others.
    others = [one for one in overrides if not one.startswith(("cases=", "out=", "readme"))]
    stated = shlex.join(["python", "-m", "bench.detection", "data=FOLDER", "out=FOLDER", *others])
    for _ in run(jobs, results):
        for one in chosen:
            document = one.summary(_table(jobs, one, results), names, stated)
            (out / f"{one.file}.md").write_text(document, encoding="utf-8")
    for one in chosen:
        print(f"{out / one.file}.md and {out / one.file}.csv")
    if MEASUREMENTS["ranking"] in chosen:
        table = _table(jobs, MEASUREMENTS["ranking"], results)
        for language, document in readme.items():
            if document is not None:
                whole = os.path.relpath(out / "detection.md", Path(document).parent)
                text = brief(table, names, make_command(others), Path(whole).as_posix(), language)
                quote(Path(document), "bench.detection", text)


def _table(
    jobs: Sequence[Job], measurement: Measurement, results: Mapping[str, Results]
) -> pd.DataFrame:
    """What is there by now of what was asked for."""
    wanted = [names for job in jobs if job.measurement is measurement for names in job.names]
    return results[measurement.file].table(wanted)


def all_methods(config: DictConfig, kind: Kind, overrides: Sequence[str]) -> list[Method]:
    """This project's detector in every variant, then the peers, for one kind of case.

    Raises ConfigurationError for a value that cannot be used.
    """
    alphas = setting(config, "alpha", Annotated[list[float], MinLen(1)])
    peers = setting(config, "peers", list[str])
    require_peers(peers)
    of_kind = setting(config, kind, list[str])
    aside = OF_THE_BENCH | set(KINDS)
    chosen = [one for one in overrides if re.split("[=.]", one.lstrip("+~"))[0] not in aside]
    own = []
    for variant in setting(config, "variants", list[str]):
        composed = compose("bench_detection", [*of_kind, *overrides, *shlex.split(variant)])
        name = " ".join([composed.name, *chosen, *shlex.split(variant)])
        own.append(Method(name, composed, alphas))
        own[-1].check()
    common = compose("bench_detection", [*of_kind, *overrides])
    return own + [Method(peer, common, alphas, peer) for peer in peers]


def jobs_of(
    folder: CaseFolder,
    methods: Sequence[Method],
    seeds: Sequence[int],
    measurements: Sequence[Measurement],
) -> Iterator[Job]:
    """Everything to be measured on one case, what one fit serves for side by side."""
    digest = folder.digest()
    for method in methods:
        for seed in seeds:
            for one in measurements:
                if one.applies(method, folder.kind):
                    names = names_of(folder, method, seed, key_of(digest, method, one.version))
                    varied = [{**names, one.columns.varied: value} for value in one.varied(method)]
                    yield Job(folder, method, seed, one, varied)


def run(jobs: Sequence[Job], results: Mapping[str, Results]) -> Iterator[None]:
    """Do the jobs whose results are not there, and pause after each case."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    open_jobs = [
        job for job in jobs if not all(results[job.measurement.file].has(one) for one in job.names)
    ]
    latest = Latest()
    with Progress(*columns, disable=not open_jobs) as progress:
        task = progress.add_task("", total=len(jobs), completed=len(jobs) - len(open_jobs))
        for folder, of_case in groupby(open_jobs, lambda job: job.folder):
            for job in of_case:
                named = f"{folder.suite}/{folder.name} {job.method.name} seed {job.seed}"
                progress.update(task, description=f"{named} {job.measurement.file}")
                results[job.measurement.file].add(records(job, latest))
                progress.advance(task)
            yield
    if not open_jobs:
        yield


def records(job: Job, latest: Latest) -> list[Record]:
    """The rows of one job: what was measured, or why there is nothing."""
    kind = job.folder.kind
    try:
        case = latest.case(job.folder)
        rows = job.measurement.measure(case, job.method, job.seed, lambda: latest.fitted(job))
    except Skipped as reason:
        return [{**names, "kind": kind, "failed": f"{SKIPPED}{reason}"} for names in job.names]
    except Exception as error:  # whatever a method raises on a case belongs in the table
        return [failed(names, kind, error) for names in job.names]
    return [{"kind": kind, "failed": "", **job.names[0], **row} for row in rows]


def with_folder(arguments: Sequence[str]) -> list[str]:
    """`data=FOLDER` as the setting `cases`: in `conf/`, `data` is a group of files."""
    return [re.sub("^data=", "cases=", argument) for argument in arguments]


if __name__ == "__main__":
    sys.argv[1:] = with_folder(sys.argv[1:])
    main()
