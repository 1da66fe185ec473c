"""What the documents name is there, and both languages say it of the same things."""

import importlib.util
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from pipelines.command import CONF
from tests.docs.markdown import (
    DOCUMENTS,
    README,
    ROOT,
    TRANSLATED,
    anchors,
    blocks,
    commands,
    headings,
    links,
)

TITLES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=TITLES)
every_pair = pytest.mark.parametrize(("english", "japanese"), TRANSLATED)

MODULE = re.compile(r"python -m ([a-z_.]+)(?![A-Z])")  # pipelines.NAME stands for any
CONFIGURED = re.compile(r"python -m ((?:pipelines|bench)\.[a-z_]+)(?:$| ([^|&>]*))")
OF_THE_READER = "my_"
"""So begins the name of every option that a document has its reader write."""


@every_document
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    broken = []
    for target in links(document):
        path, _, anchor = target.partition("#")
        place = (document.parent / path).resolve() if path else document
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert broken == []


@every_pair
def test_both_languages_have_the_same_headings_and_code(english: Path, japanese: Path) -> None:
    levels = [[level for level, _ in headings(document)] for document in (english, japanese)]
    assert levels[0] == levels[1]
    assert blocks(english) == blocks(japanese)


def test_the_readmes_begin_with_a_link_to_each_other() -> None:
    assert links(README)[0] == "README.ja.md"
    assert links(ROOT / "README.ja.md")[0] == "README.md"


@every_document
def test_every_module_that_is_run_exists(document: Path) -> None:
    named = {name for line in commands(document) for name in MODULE.findall(line)}
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def configured_commands() -> list[tuple[str, str]]:
    found = {
        (match[1], (match[2] or "").strip())
        for document in DOCUMENTS
        for line in commands(document)
        if (match := CONFIGURED.search(line)) and OF_THE_READER not in line
    }
    return sorted(found)


@pytest.mark.parametrize(("module", "arguments"), configured_commands())
def test_every_setting_of_a_command_exists(module: str, arguments: str) -> None:
    """Composing refuses a group, an option or a key that `conf/` does not have."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    root = re.search(r'@command\("(\w+)"\)', Path(spec.origin).read_text(encoding="utf-8"))
    assert root is not None
    overrides = [first_value(one) for one in arguments.split() if "=" in one]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        compose(root[1], overrides)


def first_value(override: str) -> str:
    """What Hydra composes: one job of a sweep, `model=FOLDER` as `pipelines.score` reads it."""
    key, value = override.strip("[]").split("=", 1)
    value = value if value.startswith("[") else value.split(",")[0]
    return f"{'model.uri' if key == 'model' and value.endswith('/') else key}={value}"


@every_document
def test_every_path_that_is_quoted_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"`((?:conf|src|serving|docs|deploy|pipelines|bench|tests)/[\w./-]*)`", text)
    missing = [path for path in named if OF_THE_READER not in path and not (ROOT / path).exists()]
    assert missing == []


@every_document
def test_every_target_of_make_exists(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        target
        for line in commands(document)
        for target in re.findall(r"(?:^|\s)make ([a-z-]+)", line)
    }
    assert named <= known


@pytest.mark.parametrize("readme", [README, README.with_name("README.ja.md")])
def test_the_defaults_that_the_readme_tells_are_those_of_the_settings(readme: Path) -> None:
    from serving.settings import Settings, variable

    defaults = {
        variable(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in Settings()
    }
    text = readme.read_text(encoding="utf-8")
    told = re.findall(r"^\| `((?:KIZASHI|MLFLOW)_\w+)` \| `([^`]*)`", text, re.MULTILINE)
    assert len(told) > 5
    assert {name: defaults.get(name) for name, _ in told} == dict(told)
