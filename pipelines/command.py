"""What every entry point shares: composing `conf/`, building what it names, and clear errors."""

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from kizashi.errors import ConfigurationError, KizashiError
from kizashi.terminal import quiet_when_unread

FILES = {"input", "output", "out", "cases", "data.path", "data.labelled", "model.uri"}
"""Settings that name a file or folder."""
WANTED = {
    "int_": "a whole number",
    "float_": "a number",
    "bool_": "true or false",
    "string_": "a text",
    "is_instance_of": "a list",
    "sequence_": "a list",
    "list_": "a list",
    "dict_": "names with values",
}
"""What a setting must be, in words, by the kind of pydantic's error."""
PLAIN_CLASSES = ConfigDict(arbitrary_types_allowed=True)
"""Parts are this project's own classes: an instance is all that there is to check."""
SPECIAL = re.compile(r"[\s()\[\]{}='\"]")
CONF = Path(__file__).resolve().parent.parent / "conf"


def command(root: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make `main(config)` a command whose configuration starts at `conf/ROOT.yaml`.

    An error that this project raises, and a file that cannot be read or written, end the command
    with their text alone and exit status 1; a reader that goes before the output's end (`| head`)
    ends it without a word.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @wraps(main)
        @quiet_when_unread()
        def guarded(config: DictConfig) -> None:
            try:
                main(config)
            except (KizashiError, OmegaConfBaseException) as error:
                _end(str(error))
            except OSError as error:
                if error.filename is None:
                    raise
                _end(f"'{error.filename}': {error.strerror}")

        run: Callable[[], None] = hydra.main(
            version_base="1.3", config_path=str(CONF), config_name=root
        )(guarded)

        @wraps(main)
        @quiet_when_unread()
        def entry() -> None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            if {"--help", "-h"} & set(sys.argv[1:]):
                print(sys.modules[main.__module__].__doc__, end="\n\n")
            sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
            _require_settings(root, sys.argv[1:])
            run()

        return entry

    return decorate


def _require_settings(root: str, arguments: Sequence[str]) -> None:
    """End the command with one sentence where Hydra would say a page about an unknown setting.

    Sweeps and Hydra's own flags are left to Hydra.
    """
    if any(argument.startswith("-") for argument in arguments):
        return
    for argument in arguments:
        if "=" not in argument and not argument.startswith("~"):
            _end(f"'{argument}' is no setting; NAME=VALUE is needed (--help lists what there is)")
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            hydra.compose(root, overrides=list(arguments))
    except HydraException as error:
        what, _, _ = str(error).partition("Config search path")
        what, _, _ = what.partition("To append to your config")
        sentences = re.sub(
            r"Could not override ('.*?')\.", r"\1 is no setting", " ".join(what.split())
        )
        _end(f"{sentences} (--help lists what there is)")


def _end(sentence: str) -> NoReturn:
    """End the command, saying why."""
    print(f"{Path(sys.argv[0]).stem}: {sentence}", file=sys.stderr)
    raise SystemExit(1) from None


def quoted(argument: str) -> str:
    """`name=FILE` as Hydra reads it literally: to its grammar, `data (1).csv` is no value.

    Commas are left alone, because they separate the values of a sweep.
    """
    name, _, file = argument.partition("=")
    if name not in FILES or not SPECIAL.search(file) or file[0] in "'\"":
        return argument
    escaped = file.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


def build(node: DictConfig, **given: Any) -> Any:
    """Make what a group of `conf/` describes; `given` are arguments that no file holds.

    Each value is checked against the constructor's annotation first, because Hydra checks only
    keys. What is described inside a list is made first. Raises ConfigurationError naming the key,
    its value and what is allowed.
    """
    return _build(node, str(node._get_full_key("")).rstrip("."), given)


def _build(node: DictConfig, group: str, given: Mapping[str, Any]) -> Any:
    target = _class(group, str(node["_target_"]))
    hints = get_type_hints(target.__init__)
    parameters = inspect.signature(target).parameters
    values = _container(node)
    values.pop("_target_")
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in parameters:
            allowed = ", ".join(sorted(set(parameters) - set(given))) or "none"
            raise ConfigurationError(f"{group}.{key} is unknown; there are: {allowed}")
        arguments[key] = checked(
            f"{group}.{key}", _parts(node, group, key, value), hints[key], as_written=value
        )
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in {*arguments, *given}:
            raise ConfigurationError(f"{group}.{name} is missing; give it as {group}.{name}=…")
    try:
        return target(**arguments, **given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{group}: {error}") from error


def _parts(node: DictConfig, group: str, key: str, value: Any) -> Any:
    """The value, and of a list, what its descriptions describe in their place."""
    if not isinstance(value, list):
        return value
    return [
        _build(part, f"{group}.{key}.{place}", {}) if _describes(part) else value[place]
        for place, part in enumerate(node[key])
    ]


def _describes(part: Any) -> bool:
    return isinstance(part, DictConfig) and "_target_" in part


def _class(group: str, path: str) -> Any:
    try:
        return hydra.utils.get_class(path)
    except Exception as error:  # Hydra wraps what the import raised
        raise ConfigurationError(f"{group}._target_ is '{path}', which is no class here") from error


def checked(name: str, value: object, wanted: Any, as_written: object = None) -> Any:
    """`value` as the type `wanted`; raises ConfigurationError naming the setting, and its value
    `as_written` where that is not the value itself."""
    try:
        return TypeAdapter(wanted, config=PLAIN_CLASSES).validate_python(value)
    except ValidationError as error:
        shown = value if as_written is None else as_written
        words = _words(error.errors()[0])
        raise ConfigurationError(f"{name} is {shown!r}; {words} is needed") from None


def _words(error: Mapping[str, Any]) -> str:
    """What is wanted instead, by pydantic's first error."""
    if error["type"] == "is_instance_of" and error["loc"]:
        return f"a list of parts, each a {error['ctx']['class']} described by its _target_,"
    return next(
        (words for kind, words in WANTED.items() if error["type"].startswith(kind)),
        error.get("ctx", {}).get("expected", error["msg"].lower()),
    )


def setting(config: DictConfig, name: str, wanted: Any) -> Any:
    """One setting outside the groups, by its dotted name, as the type `wanted`."""
    value = OmegaConf.select(config, name)
    if value is None and OmegaConf.is_missing(config, name):
        raise ConfigurationError(f"{name} is missing; give it as {name}=…")
    return checked(name, value, wanted)


def settings_of(config: DictConfig, *groups: str) -> dict[str, Any]:
    """Every setting of these groups by its dotted name, as JSON has it."""
    return {
        f"{group}.{name}": value
        for group in groups
        for name, value in _container(config[group]).items()
    }


def _container(node: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


def artifacts(config: DictConfig) -> Path:
    """Where this run writes: `artifacts`, or the job's own folder in a sweep, so that trying
    values out never touches what `dvc repro` made."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return Path(HydraConfig.get().runtime.output_dir)
    return Path(setting(config, "artifacts", str))
