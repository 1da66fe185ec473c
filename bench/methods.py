"""A method: a detector that can be made from a composed configuration, and what identifies it."""

import math
import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from threadpoolctl import threadpool_limits

from bench.cases import Case
from bench.fitted import Fitted, FittedOwn, FittedPeer
from bench.peers import PEERS
from kizashi.runtime.thresholds import Threshold
from pipelines.command import build, setting
from pipelines.recipe import recipe


@dataclass(frozen=True)
class Method:
    """A detector to be made from a composed configuration; `peer` None is this project's own."""

    name: str
    config: DictConfig
    alphas: Sequence[float]
    peer: str | None = None

    @property
    def window_length(self) -> int:
        return int(setting(self.config, "window.length", int))

    def identity(self) -> dict[str, Any]:
        """The settings that decide the result, without the seed and the false alarm rates."""
        groups = ["window", "split", "threshold"]
        if self.peer is None:
            groups += ["scaler", "model", "scorer", "trainer"]
        values = {
            f"{group}.{name}": value
            for group in groups
            for name, value in _plain(self.config[group]).items()
        }
        for name in ("split.seed", "threshold.alpha", "trainer.progress"):
            values.pop(name, None)
        if self.peer is None:
            values["trim"] = setting(self.config, "trim", float)
        return {"peer": self.peer, **values}

    def check(self) -> None:
        """Raise ConfigurationError for a value that cannot be used, before any data is read."""
        recipe(self._seeded(0))
        build(self.config.split)
        self.thresholds()

    def thresholds(self, alphas: Sequence[float] | None = None) -> list[Threshold]:
        """An unfitted rule for each false alarm rate, of `alphas` or its own; a rule without a rate
        is one alone."""
        config = deepcopy(self.config)
        if "alpha" not in config.threshold:
            return [build(config.threshold)]
        thresholds = []
        for alpha in self.alphas if alphas is None else alphas:
            config.threshold.alpha = alpha
            thresholds.append(build(config.threshold))
        return thresholds

    def fit(self, case: Case, seed: int) -> Fitted:
        """Fit on the case's training rows, on one thread, with the split drawn by `seed`."""
        config = self._seeded(seed)
        normal = case.normal_rows(build(config.split), self.window_length)
        with threadpool_limits(1), warnings.catch_warnings():
            if self.peer is None:
                parts = replace(recipe(config), threshold=self.thresholds()[0])
                contract = replace(case.contract, window_length=self.window_length)
                return FittedOwn.fit(parts, contract, normal)
            # What a library says of few or constant values is seen in its results.
            warnings.simplefilter("ignore")
            make = partial(PEERS[self.peer], seed)
            return FittedPeer.fit(make, case.train, normal, self.window_length)

    def _seeded(self, seed: int) -> DictConfig:
        config = deepcopy(self.config)
        config.seed = seed
        if "seed" in config.split:
            config.split.seed = seed
        return config


def rate_text(threshold: Threshold) -> str:
    """The false alarm rate asked for, empty where the rule has none."""
    rate = threshold.false_alarm_rate
    return "" if rate is None or math.isnan(rate) else f"{rate:g}"


def _plain(node: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}
