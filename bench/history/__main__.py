"""What do the operators' history, alarms and notifications cost, and what do they keep?

Trains the default detector on simulated rows and runs the service over SQLite, and over PostgreSQL
where its programs are found. `measure` names what is measured:

    sustained  rows a second with a history, for longer than its queue can hide a lag
    added      CPU time that the history adds to a request
    faults     what is lost by SIGKILL, by a full disk and by a stopped database
    notified   from the request of an anomaly to the notification's arrival
    year       a year of ten sources: its size, queries, and pages in a browser

Results go to history.csv and history.md in `out`; figures of what is not measured again stay. What
cannot be measured here is named with the reason.

    python -m bench.history [measure=[sustained,faults]] [quick=true] [out=bench/results]
        [readme.en=README.md]
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from omegaconf import DictConfig

from bench.history import added, faults, notified, sustained, year
from bench.history.bench import Bench, Settings
from bench.history.summary import COMMAND, brief, summary
from bench.serving import bench as served
from bench.serving.environments import Environments
from bench.serving.model import fit_model, simulated_rows
from bench.serving.peers import OURS, PEERS
from bench.serving.processes import require_linux
from bench.serving.recording import Recording, amounts
from bench.serving.records import Figure
from pipelines.command import command, setting

Named = Literal["sustained", "added", "faults", "notified", "year"]
MEASUREMENTS: Mapping[Named, Callable[[Bench], Iterator[Figure]]] = {
    "sustained": sustained.measure,
    "added": added.measure,
    "faults": faults.measure,
    "notified": notified.measure,
    "year": year.measure,
}


@command("bench_history")
def main(config: DictConfig) -> None:
    require_linux()
    bench = bench_of(config)
    measure = setting(config, "measure", Annotated[list[Named], MinLen(1)])
    measures = {name: partial(MEASUREMENTS[name], bench) for name in measure}
    Recording("history", summary, brief, COMMAND).record(config, measures)


def bench_of(config: DictConfig) -> Bench:
    """The bench as configured, with its model trained; raises ConfigurationError."""
    settings = Settings.quick() if setting(config, "quick", bool) else amounts(config, Settings)
    work = Path(setting(config, "work", str)).absolute()
    sensors = setting(config, "sensors", Annotated[int, Ge(1)])
    train_NF = simulated_rows(setting(config, "train_rows", Annotated[int, Ge(100)]), sensors)
    served.said("training the model")
    bundle = fit_model(config, train_NF, work / "models" / "first")
    return Bench(
        served.Bench(
            # The interpreter that runs this has the service's extras, PostgreSQL among them.
            Environments(work / "environments", python=Path(sys.executable)),
            work,
            bundle,
            other=partial(fit_model, config, train_NF, work / "models" / "second"),
            logged=lambda: work,
            rows_NF=simulated_rows(2000, sensors, 2),
            peers={OURS: PEERS[OURS]},
            settings=served.Settings.quick(),
        ),
        settings,
    )


if __name__ == "__main__":
    sys.argv[0] = "bench.history"
    main()
