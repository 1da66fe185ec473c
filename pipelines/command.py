"""What every entry point shares: composing `conf/`, building what it names, and clear errors."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from kizashi.errors import ConfigurationError, KizashiError

CONF = Path(__file__).resolve().parent.parent / "conf"


def command(root: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make `main(config)` a command whose configuration starts at `conf/ROOT.yaml`.

    An error that this project raises ends the command with its text alone and exit status 1.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @wraps(main)
        def guarded(config: DictConfig) -> None:
            try:
                main(config)
            except (KizashiError, OmegaConfBaseException) as error:
                print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
                raise SystemExit(1) from None

        run: Callable[[], None] = hydra.main(
            version_base="1.3", config_path=str(CONF), config_name=root
        )(guarded)

        @wraps(main)
        def entry() -> None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            if {"--help", "-h"} & set(sys.argv[1:]):
                print(sys.modules[main.__module__].__doc__, end="\n\n")
            run()

        return entry

    return decorate


def build(node: DictConfig, **given: Any) -> Any:
    """Make what a group of `conf/` describes; `given` are arguments that no file holds.

    Each value is checked against the constructor's annotation first, because Hydra checks only
    keys. Raises ConfigurationError naming the key, its value and what is allowed.
    """
    target = hydra.utils.get_class(node["_target_"])
    hints = get_type_hints(target.__dict__.get("__init__", target))
    arguments: dict[str, Any] = {}
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    for key, value in values.items():
        if key == "_target_":
            continue
        if key not in hints:
            allowed = ", ".join(sorted(set(hints) - {"return", *given}))
            raise ConfigurationError(f"{node._get_full_key(key)} is unknown; there are: {allowed}")
        arguments[str(key)] = checked(node._get_full_key(key), value, hints[str(key)])
    try:
        return target(**arguments, **given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{node._get_full_key('')}: {error}".lstrip(".: ")) from error


def checked(name: str, value: object, wanted: Any) -> Any:
    """`value` as the type `wanted`; raises ConfigurationError naming the setting."""
    try:
        return TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ConfigurationError(f"{name} is {value!r}: {reason}") from None


def setting(config: DictConfig, name: str, wanted: Any) -> Any:
    """One setting outside the groups, by its dotted name, as the type `wanted`."""
    value = OmegaConf.select(config, name)
    if value is None and OmegaConf.is_missing(config, name):
        raise ConfigurationError(f"{name} is missing; give it as {name}=…")
    return checked(name, value, wanted)


def artifacts(config: DictConfig) -> Path:
    """Where this run writes: `artifacts`, or the job's own folder in a sweep, so that trying
    values out never touches what `dvc repro` made."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return Path(HydraConfig.get().runtime.output_dir)
    return Path(setting(config, "artifacts", str))
