"""Every entry point: its help, and one clear sentence for whatever cannot be used."""

import importlib
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from kizashi.errors import ConfigurationError
from pipelines.command import CONF, build, checked, quoted, setting

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated",  # MLflow's own queries
)
PIPELINES = CONF.parent / "pipelines"
COMMANDS = sorted(
    path.stem
    for path in PIPELINES.glob("*.py")
    if "\n@command(" in path.read_text(encoding="utf-8")
)
LONGEST = 12
"""Lines of an error; Hydra lists the groups or options there are, one a line."""


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def is_short(self) -> bool:
        return "Traceback" not in self.err and 0 < self.err.strip().count("\n") + 1 <= LONGEST


class Shell:
    """`python -m pipelines.NAME …` in this process: imports are paid once."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys

    def __call__(self, name: str, *arguments: str) -> Outcome:
        module = importlib.import_module(f"pipelines.{name}")
        self._patch.setattr("sys.argv", [str(PIPELINES / f"{name}.py"), *arguments])
        self._capsys.readouterr()
        status = 0
        try:
            module.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return Outcome(status, *self._capsys.readouterr())


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made by the first command that asks it, which takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def shell(
    tmp_path: Path,
    empty_registry: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty_registry)
    return Shell(monkeypatch, capsys)


def test_the_stages_and_what_stands_beside_them_are_commands() -> None:
    beside = {"promote", "rollback", "simulate", "fit", "score", "threshold"}
    assert set(COMMANDS) >= {"validate", "split", "train", "register"} | beside


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does_and_lists_its_settings(shell: Shell, name: str) -> None:
    helped = shell(name, "--help")
    assert helped.status == 0
    documented = importlib.import_module(f"pipelines.{name}").__doc__
    assert documented is not None
    assert helped.out.startswith(documented.strip().splitlines()[0])
    assert "Settings, each overridden as name=value" in helped.out


@pytest.mark.parametrize(
    ("name", "argument", "named"),
    [
        *((name, "nonsense=1", "nonsense") for name in COMMANDS),
        ("train", "model.nonsense=1", "nonsense"),
        ("train", "nonsense/deep=1", "nonsense"),
        ("train", "nonsense", "'nonsense' is no setting; NAME=VALUE is needed"),
        ("promote", "2", "'2' is no setting; NAME=VALUE is needed"),
        ("train", "=", "="),
        ("train", "model.width=[1", "[1"),
    ],
)
def test_an_unknown_or_malformed_setting_ends_with_a_short_message(
    shell: Shell, name: str, argument: str, named: str
) -> None:
    ended = shell(name, argument)
    assert ended.status == 1
    assert ended.is_short, ended.err
    assert named in ended.err


@pytest.mark.parametrize(
    "group", ["data", "split", "scaler", "model", "scorer", "threshold", "trainer", "tracking"]
)
def test_an_unknown_option_ends_with_those_there_are(shell: Shell, group: str) -> None:
    ended = shell("train", f"{group}=nonsense")
    assert ended.status == 1
    assert ended.is_short, ended.err
    assert f"Could not find '{group}/nonsense'" in ended.err
    for option in (CONF / group).glob("*.yaml"):
        assert option.stem in ended.err


INFERRED = ["data=inferred", "data.path=rows.csv"]
WRONG_VALUES = [
    ("train", ["model.members=abc"], "model.members is 'abc'; "),
    ("train", ["model.members=0"], "model: members is 0; a whole number from 1 is needed"),
    ("train", ["model.width=1.5"], "model.width is 1.5; "),
    ("train", ["model.score_noise=2"], "model: score_noise is 2.0; a number from smallest_noise"),
    ("train", ["model=dense", "model.hidden=64"], "model.hidden is 64; "),
    ("train", ["model=dense", "model.hidden=[64,0]"], "model: hidden is [64, 0]; widths from 1"),
    ("train", ["threshold.alpha=2"], "threshold: the false alarm rate alpha is 2.0; "),
    ("train", ["threshold.alpha=small"], "threshold.alpha is 'small'; "),
    ("train", ["threshold=quantile", "threshold.quantile=1"], "threshold: the quantile is 1.0; "),
    ("train", ["threshold=mad", "threshold.deviations=-1"], "threshold: deviations is -1.0; "),
    ("train", ["threshold.alarms_per_day=5"], "threshold: sampling_period is None; "),
    (
        "train",
        ["threshold.alarms_per_day=99999", "threshold.sampling_period=30"],
        "threshold: alarms_per_day is 99999.0; with one row every 30 s a number above 0 and below ",
    ),
    ("train", ["trainer.steps=many"], "trainer.steps is 'many'; "),
    ("train", ["trainer.patience=0"], "trainer: patience is 0; a whole number from 1 is needed"),
    ("train", ["trainer.batch_size=0"], "trainer: batch_size is 0; "),
    ("train", ["trainer.accelerator=tpu"], "trainer.accelerator is 'tpu'; "),
    ("train", ["trainer.progress=perhaps"], "trainer.progress is 'perhaps'; "),
    ("train", ["+model.latent=3"], "model.latent is unknown; there are: largest_noise, members, "),
    ("train", ["scorer.parts.1.prototypes=0"], "scorer.parts.1: prototypes is 0; "),
    ("train", ["scorer.parts.1.prototypes=all"], "scorer.parts.1.prototypes is 'all'; "),
    ("train", ["+scorer.parts.0.power=3"], "scorer.parts.0.power is unknown; there are: none"),
    ("train", ["scorer.parts.0._target_=os.system"], "scorer.parts.0._target_ is 'os.system'"),
    ("train", ["scorer.parts=[]"], "scorer: a joint score has no parts; "),
    ("train", ["scorer.parts=[1]"], "scorer.parts is [1]; a list of parts, each a Scorer "),
    ("train", ["scorer.parts=both"], "scorer.parts is 'both'; a list is needed"),
    (
        "train",
        ["scorer.parts=[{_target_:kizashi.runtime.scaling.StandardScaler}]"],
        "scorer.parts is [{'_target_': 'kizashi.runtime.scaling.StandardScaler'}]; a list of parts",
    ),
    ("train", ["+scaler.width=3"], "scaler.width is unknown"),
    ("train", ["tracking.enabled=perhaps"], "tracking.enabled is 'perhaps'; "),
    ("train", ["seed=abc"], "seed is 'abc'; "),
    ("train", ["artifacts=nowhere"], " does not exist; run the stages before this one: dvc"),
    ("validate", ["data.max_bad_share=2"], "data: max_bad_share is 2.0; "),
    (
        "validate",
        ["data.max_step=0"],
        "data: max_step is 0.0; a number of seconds above ",
    ),
    ("validate", ["data.max_step=abc"], "data: max_step is 'abc'; a number of seconds above 0, "),
    ("validate", ["data.max_bad_share=abc"], "data.max_bad_share is 'abc'; "),
    ("validate", ["data.path=null"], "data.path is None; "),
    ("validate", ["data.path=nowhere.csv"], "nowhere.csv"),
    ("validate", ["data.sensors=abc"], "data.sensors is 'abc'; "),
    ("split", ["split.train=abc"], "split.train is 'abc'; "),
    ("split", ["split.train=0.9"], "split: the shares train 0.9"),
    ("split", ["split.gap=-1"], "split: gap is -1; "),
    ("split", [], "artifacts/validated/normal.parquet does not exist; "),
    ("register", [], "artifacts/bundle"),
    ("simulate", ["seed=abc"], "seed is 'abc'; "),
    ("simulate", ["output=null"], "output is None; "),
    ("promote", [], "version is missing; use: python -m pipelines.promote version=N"),
    ("promote", ["version=[1]"], "version is [1]; "),
    ("promote", ["version=3"], "model 'kizashi' has no version 3; there are: none"),
    ("promote", ["version=candidate"], "model 'kizashi' has no alias 'candidate'"),
    ("promote", ["name=null", "version=1"], "name is None; "),
    ("threshold", [], "data.path is missing; give new normal rows as data.path=FILE"),
    ("threshold", ["data.path=nowhere.csv"], "nowhere.csv"),
    ("threshold", ["data.path=rows.csv", "version=[1]"], "version is [1]; "),
    ("threshold", ["data.path=rows.csv"], "model 'kizashi' has no production version; "),
    ("rollback", [], "model 'kizashi' has no production version to roll back from"),
    ("rollback", ["tracking.uri=[1]"], "tracking.uri is [1]; "),
    ("fit", [], "output is missing; give it as output="),
    ("fit", ["output=model", "data.path=nowhere.csv"], "nowhere.csv"),
    ("fit", ["output=model", "window.length=0", "data.path=rows.csv"], "window length is 0; "),
    ("fit", ["output=model", "window.length=abc", "data.path=rows.csv"], "window.length is 'abc'"),
    ("fit", ["output=model", "seed=1.5"], "seed is 1.5; "),
    ("fit", ["output=", "data.path=rows.csv"], "output is empty; a folder for the bundle"),
    ("fit", ["output=rows.csv", "data.path=rows.csv"], "output is 'rows.csv', a file; a folder"),
    (
        "fit",
        ["output=model", "data.path=rows.csv", "threshold=labelled"],
        "threshold 'labelled' needs labelled rows, faulty and normal ones, and there are none; ",
    ),
    ("validate", ["artifacts=rows.csv", *INFERRED], "'rows.csv/validated': "),
    (
        "validate",
        [*INFERRED, "data.labelled=labelled.csv"],
        "column 'b' missing; the labelled table has a, label. ",
    ),
    ("score", [], "input is missing; give it as input="),
    ("score", ["input=nowhere.csv", "output=scores.csv"], "nowhere.csv"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [pytest.param(*each, id=f"{each[0]} {' '.join(each[1])}") for each in WRONG_VALUES],
)
def test_a_wrong_value_ends_with_one_sentence_that_names_it(
    shell: Shell, tmp_path: Path, name: str, arguments: list[str], message: str
) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,2\n2,1\n" * 50)
    (tmp_path / "labelled.csv").write_text("a,label\n1,0\n")
    ended = shell(name, *arguments)
    assert ended.status == 1
    assert message in ended.err
    assert ended.err.startswith(f"{name}: ")
    assert ended.err.strip().count("\n") == 0, ended.err


def test_a_wrong_value_leaves_nothing_behind(shell: Shell, tmp_path: Path) -> None:
    shell("train", "model.width=abc")
    assert list(tmp_path.iterdir()) == []


def test_a_class_that_is_not_there_is_named(shell: Shell) -> None:
    ended = shell("train", "model._target_=kizashi.models.dense.Nonsense")
    assert ended.status == 1
    assert ended.is_short, ended.err
    assert "kizashi.models.dense.Nonsense" in ended.err


def test_building_checks_each_value_against_the_constructor() -> None:
    config = OmegaConf.create(
        {"threshold": {"_target_": "kizashi.runtime.thresholds.MadThreshold", "deviations": "4"}}
    )
    assert build(config.threshold).deviations == 4.0
    config.threshold.deviations = "four"
    with pytest.raises(ConfigurationError, match=r"^threshold\.deviations is 'four'; "):
        build(config.threshold)


def test_a_setting_is_taken_by_its_dotted_name_and_checked() -> None:
    config = OmegaConf.create({"window": {"length": 3}})
    assert setting(config, "window.length", int) == 3
    with pytest.raises(ConfigurationError, match=r"^window\.length is 3; "):
        setting(config, "window.length", str)


@pytest.mark.parametrize(
    ("value", "wanted"), [("abc", int), (1.5, int), (None, str), ([1], float), ("x", bool)]
)
def test_a_value_of_another_type_is_refused_with_its_name(value: object, wanted: type) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked("group.key", value, wanted)
    assert str(refused.value).startswith(f"group.key is {value!r}; ")


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("input=in (1).csv", "in (1).csv"),
        ("data.path=it's {here}.csv", "it's {here}.csv"),
        ("output=a=b.csv", "a=b.csv"),
        ("out=plain/file.csv", "plain/file.csv"),
        ("input='quoted already.csv'", "quoted already.csv"),
    ],
)
def test_a_file_name_may_have_signs_that_hydra_reads_in_its_own_way(
    given: str, understood: str
) -> None:
    override = OverridesParser.create().parse_override(quoted(given))
    assert override.value() == understood


def test_what_names_no_file_is_left_as_it_is() -> None:
    assert quoted("seeds=[0, 1]") == "seeds=[0, 1]"
    assert quoted("-m") == "-m"
