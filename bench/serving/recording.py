"""What every bench of the service does with what it finds: a table, a document, the READMEs."""

import os
import platform
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import pandas as pd
from annotated_types import Ge, Gt
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from bench.brief import quote
from bench.serving.records import Figure, write
from pipelines.command import setting

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Language = Literal["en", "ja"]


@dataclass(frozen=True)
class Recording:
    """NAME.csv and NAME.md in the folder `out` of a configuration, and what READMEs quote between
    the marks `bench.NAME`; `target` is the command of a user who has a checkout."""

    name: str
    summary: Callable[[pd.DataFrame], str]
    brief: Callable[[pd.DataFrame, str, Language], str]
    target: str

    def record(
        self, config: DictConfig, measures: Mapping[str, Callable[[], Iterator[Figure]]]
    ) -> None:
        """Measure one thing after the other, and write down each as soon as it is there."""
        readme = setting(config, "readme", dict[Language, str | None])
        file = Path(setting(config, "out", str)) / f"{self.name}.csv"
        document = file.with_suffix(".md")
        stated = make_command(HydraConfig.get().overrides.task, self.target)
        table = write(file, machine())
        for name, measure in measures.items():
            made_by = Figure(name, "", "command", note=stated)
            table = write(file, chain([made_by], measure()))
            document.write_text(self.summary(table), encoding="utf-8")
        for language, quoting in readme.items():
            if quoting is not None:
                whole = Path(os.path.relpath(document, Path(quoting).parent)).as_posix()
                quote(Path(quoting), f"bench.{self.name}", self.brief(table, whole, language))
        print(self.summary(table))


def make_command(overrides: Sequence[str], target: str) -> str:
    """The make target as a user gives it who has a checkout. What else was measured is left out,
    and so is where things lie: of no use to others."""
    aside = ("measure=", "work=", "out=", "readme", "uv=")
    stated = [
        re.sub("^python=.*", "python=PYTHON", one) for one in overrides if not one.startswith(aside)
    ]
    options = shlex.join(stated)
    plain = not set(options) & set('"\\$`')
    given = f'"{options}"' if plain else shlex.quote(options)
    return f"{target} OPTIONS={given}" if options else target


def machine() -> Iterator[Figure]:
    """What the run is on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    yield Figure("machine", "", "cores", cores, note=model[1] if model else platform.machine())
    yield Figure("machine", "", "python", note=platform.python_version())


AmountsT = TypeVar("AmountsT", bound="DataclassInstance")


def amounts(config: DictConfig, kind: type[AmountsT]) -> AmountsT:
    """How much is measured, each amount a setting of its name; raises ConfigurationError."""
    whole, part = Annotated[int, Ge(1)], Annotated[float, Gt(0)]
    given = {
        one.name: setting(config, one.name, whole if one.type is int else part)
        for one in fields(kind)
    }
    return kind(**given)
