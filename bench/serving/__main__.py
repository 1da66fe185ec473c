"""What does a verdict over HTTP cost, beside other servers of models?

Builds each server's own environment below `work` (bench/serving/environments has the locks), trains
the default detector on simulated rows, and drives every server with the same rows from a process of
its own. `measure` names what is measured:

    requests  one row a request: CPU, requests a second, latency, memory
    starts    from the start of a process to its first good answer
    batches   rows a second in one request, by format, beside the detector on arrays in memory
    stream    the memory that the service holds while many rows stream through it
    swap      latency while versions are swapped under load
    workers   two workers beside one

Results go to serving.csv and serving.md in `out`; figures of what is not measured again stay. A
server that cannot be built here is named with the reason.

    python -m bench.serving [measure=[requests,starts]] [peers=[empty_fastapi]] [quick=true]
        [rounds=3] [seconds=5.0] [out=bench/results] [readme.en=README.md]
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from omegaconf import DictConfig

from bench.serving import batches, requests, starts, stream, swap, workers
from bench.serving.bench import Bench, Settings, said
from bench.serving.brief import COMMAND, brief
from bench.serving.environments import Environments
from bench.serving.model import fit_model, log_model, simulated_rows
from bench.serving.peers import OURS, PEERS
from bench.serving.processes import require_linux
from bench.serving.recording import Recording, amounts
from bench.serving.records import Figure
from bench.serving.summary import summary
from kizashi.errors import ConfigurationError
from kizashi.runtime.bundle import Bundle
from pipelines.command import command, setting

Named = Literal["requests", "starts", "batches", "stream", "swap", "workers"]
MEASUREMENTS: Mapping[Named, Callable[[Bench], Iterator[Figure]]] = {
    "requests": requests.measure,
    "starts": starts.measure,
    "batches": batches.measure,
    "stream": stream.measure,
    "swap": swap.measure,
    "workers": workers.measure,
}


@command("bench_serving")
def main(config: DictConfig) -> None:
    require_linux()
    bench = bench_of(config)
    measure = setting(config, "measure", Annotated[list[Named], MinLen(1)])
    measures = {name: partial(MEASUREMENTS[name], bench) for name in measure}
    Recording("serving", summary, brief, COMMAND).record(config, measures)


def bench_of(config: DictConfig) -> Bench:
    """The bench as configured, with its model trained; raises ConfigurationError."""
    names = [OURS, *setting(config, "peers", list[str])]
    for name in names:
        if name not in PEERS:
            raise ConfigurationError(f"peers has '{name}'; there are: {', '.join(PEERS)}")
    work = Path(setting(config, "work", str)).absolute()
    python = setting(config, "python", str | None)
    environments = Environments(
        work / "environments",
        setting(config, "uv", str | None),
        None if python is None else Path(python),
    )
    settings = Settings.quick() if setting(config, "quick", bool) else amounts(config, Settings)
    sensors = setting(config, "sensors", Annotated[int, Ge(1)])
    train_NF = simulated_rows(setting(config, "train_rows", Annotated[int, Ge(100)]), sensors)
    said("training the model")
    bundle = fit_model(config, train_NF, work / "models" / "first")

    @cache
    def other() -> Bundle:
        return fit_model(config, simulated_rows(len(train_NF), sensors, 1), work / "models/second")

    @cache
    def logged() -> Path:
        return log_model(bundle, work)

    rows_NF = simulated_rows(2000, sensors, 2)
    peers = {name: PEERS[name] for name in dict.fromkeys(names)}
    return Bench(environments, work, bundle, other, logged, rows_NF, peers, settings)


if __name__ == "__main__":
    sys.argv[0] = "bench.serving"
    main()
