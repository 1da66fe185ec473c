"""Every file under `conf/` makes what it says; a new file is tested by being there."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from kizashi.models.denoising import DenoisingEnsemble
from kizashi.runtime.scaling import SCALERS
from kizashi.runtime.scoring import SCORERS, JointScore, NearestNormal
from kizashi.runtime.thresholds import THRESHOLDS
from kizashi.training.fit import Recipe
from pipelines.command import CONF, build
from pipelines.recipe import recipe

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
ROOTS = sorted(path.stem for path in CONF.glob("*.yaml"))
DETECTOR_GROUPS = ("scaler", "model", "scorer", "threshold", "trainer")
# What no file holds, because the data decides it.
GIVEN: dict[str, dict[str, Any]] = {"model": {"n_sensors": 3, "window_length": 2}}

every_option = pytest.mark.parametrize(("group", "option"), OPTIONS)


def composed(root: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(root, list(overrides))


def built(group: str, option: str) -> Any:
    return build(composed("config", f"{group}={option}")[group], **GIVEN.get(group, {}))


def described(node: DictConfig) -> Iterator[DictConfig]:
    """What the option describes, and what is described inside its lists."""
    yield node
    for value in node.values():
        for part in value if isinstance(value, ListConfig) else ():
            if isinstance(part, DictConfig) and "_target_" in part:
                yield from described(part)


def test_all_the_groups_that_a_detector_is_made_of_are_there() -> None:
    assert set(GROUPS) >= {*DETECTOR_GROUPS, "data", "split", "tracking"}


@every_option
def test_every_option_is_built(group: str, option: str) -> None:
    target = OmegaConf.to_container(composed("config", f"{group}={option}"))[group]["_target_"]  # type: ignore[index,call-overload]
    assert isinstance(built(group, option), get_class(target))


@every_option
def test_every_option_can_be_told_from_the_file_alone(group: str, option: str) -> None:
    """A file shows every setting that its class has: nothing is set where no one sees it."""
    for node in described(composed("config", f"{group}={option}")[group]):
        accepted = set(inspect.signature(get_class(node["_target_"])).parameters)
        assert set(node) - {"_target_"} == accepted - set(GIVEN.get(group, {}))


@pytest.mark.parametrize(
    ("group", "option"), [each for each in OPTIONS if each[0] in DETECTOR_GROUPS]
)
def test_every_option_of_a_detector_makes_a_recipe(group: str, option: str) -> None:
    made = recipe(composed("config", f"{group}={option}"))
    assert isinstance(made, Recipe)
    assert isinstance(made.network(3, 4), nn.Module)


@pytest.mark.parametrize(
    ("group", "table"), [("scaler", SCALERS), ("scorer", SCORERS), ("threshold", THRESHOLDS)]
)
def test_every_kind_that_a_bundle_knows_has_an_option_of_its_name(
    group: str, table: dict[str, type]
) -> None:
    options = {option: built(group, option).kind for known, option in OPTIONS if known == group}
    assert options == {kind: kind for kind in table}


def test_the_parts_of_a_scorer_are_built_each_with_its_own_settings() -> None:
    scorer = built("scorer", "joint")
    assert [part.kind for part in scorer.parts] == [
        "reconstruction_error",
        "nearest_normal",
        "state_rarity",
        "sensor_relations",
    ]
    other = recipe(composed("config", "scorer.parts.1.prototypes=12")).scorer
    assert isinstance(other, JointScore)
    assert isinstance(other.parts[1], NearestNormal)
    assert other.parts[1].prototypes == 12


def test_a_scorer_can_be_composed_of_others_on_the_command_line() -> None:
    scoring = "kizashi.runtime.scoring"
    inner = f"{{_target_:{scoring}.JointScore,parts:[{{_target_:{scoring}.StandardisedError}}]}}"
    parts = f"scorer.parts=[{{_target_:{scoring}.MahalanobisError}},{inner}]"
    made = recipe(composed("config", parts)).scorer
    assert isinstance(made, JointScore)
    assert [part.kind for part in made.parts] == ["mahalanobis_error", "joint"]
    assert isinstance(made.parts[1], JointScore)
    assert [part.kind for part in made.parts[1].parts] == ["standardised_error"]


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_composes(root: str) -> None:
    config = composed(root)
    assert "hydra" not in config
    assert len(config) > 0


def test_the_defaults_are_the_ones_the_readme_promises() -> None:
    made = recipe(composed("config"))
    assert made.scaler.kind == "compressed"
    assert isinstance(made.network(3, 1), DenoisingEnsemble)
    assert made.scorer.kind == "joint"
    assert made.trainer.patience is None
    assert made.threshold.kind == "conformal"
    assert made.threshold.false_alarm_rate == 0.001
    assert made.seed == 0


def test_either_target_of_the_conformal_threshold_can_be_given_alone() -> None:
    assert recipe(composed("config", "threshold.alpha=0.01")).threshold.false_alarm_rate == 0.01
    overrides = ("threshold.alarms_per_day=1", "threshold.sampling_period=30")
    by_day = recipe(composed("config", *overrides)).threshold
    assert by_day.false_alarm_rate == pytest.approx(1 / 2880)


def test_a_value_given_as_text_becomes_what_the_constructor_wants() -> None:
    made = recipe(
        composed(
            "config",
            "threshold.alarms_per_day=24",
            "threshold.sampling_period=60",
            "trainer.steps=7",
            "model=dense",
            "model.latent=4",
            "model.hidden=[16]",
        )
    )
    assert made.threshold.false_alarm_rate == pytest.approx(24 / 1440)
    assert made.trainer.steps == 7
    layers = [layer for layer in made.network(3, 1).modules() if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in layers] == [16, 4, 16, 3]


def test_single_runs_leave_no_folder_and_sweeps_stay_out_of_artifacts() -> None:
    quiet = OmegaConf.load(Path(CONF) / "hydra" / "quiet.yaml")
    assert quiet.run.dir == "."
    assert quiet.output_subdir is None
    assert str(OmegaConf.to_container(quiet)["sweep"]["dir"]).startswith("multirun/")  # type: ignore[index,call-overload]
