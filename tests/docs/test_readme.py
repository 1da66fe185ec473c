"""The README's examples, run as they stand there against a running service."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import playwright
import pytest

from tests.bundles import press_line_bundle
from tests.docs.markdown import README, blocks
from tests.serving.pages.service import application, running
from tests.system import program

WRITTEN = "http://127.0.0.1:8000/"
# Playwright brings its own Node.js: the JavaScript example runs on every machine that has the
# development environment.
NODE = Path(playwright.__file__).parent / "driver" / "node"
CURL = [block.text for block in blocks(README, "sh") if block.text.startswith(("curl", "printf"))]
DETAIL = [text for text in CURL if "detail=full" in text]
SHORT = [text for text in CURL if "detail=full" not in text]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("readme")
    press_line_bundle(folder / "kizashi")
    with running(application(folder, folder / "kizashi")) as url:
        yield url


def examples(text: str) -> list[tuple[str, str]]:
    """Each piece of a block with the output that the comment lines after it promise."""
    pieces, code, promised = [], list[str](), list[str]()
    for line in text.splitlines():
        comment = re.match(r"(?:#|//) (.*)", line)
        if comment:
            promised.append(comment[1])
            continue
        if promised:
            pieces.append(("\n".join(code), "\n".join(promised)))
            code, promised = [], []
        code.append(line)
    return [*pieces, ("\n".join(code), "\n".join(promised))]


def output(command: Sequence[str], code: str, address: str) -> str:
    assert WRITTEN in code
    code = code.replace(WRITTEN, address)
    done = subprocess.run(command, input=code, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\r", "").strip()


def without_chance(text: str) -> str:
    """The text with what differs from model to model, and from request to request, left open."""
    return re.sub(r'\d+\.\d+(e-\d+)?|(?<="request_id":")[^"]+', "…", text)


@pytest.fixture
def curl() -> str:
    return program("curl")


@pytest.mark.parametrize(
    ("code", "promised"), [example for text in SHORT for example in examples(text)]
)
@pytest.mark.usefixtures("curl")
def test_curl_prints_what_the_readme_promises(code: str, promised: str, address: str) -> None:
    printed = output(["bash", "-euo", "pipefail"], code, address)
    # What was sent comes back in an error as it was; every other decimal is the model's.
    assert without_chance(printed) == without_chance(promised)


def test_python_prints_what_the_readme_promises(address: str) -> None:
    [(code, promised)] = examples(blocks(README, "python")[0].text)
    assert output([sys.executable, "-"], code, address) == promised == "normal\nanomaly"


def test_javascript_prints_what_the_readme_promises(address: str) -> None:
    [(code, promised)] = examples(blocks(README, "js")[0].text)
    command = [str(NODE), "--input-type=module"]
    assert output(command, code, address) == promised == "normal\nanomaly"


@pytest.mark.usefixtures("curl")
def test_the_full_answer_has_the_fields_that_the_readme_shows(address: str) -> None:
    [code] = DETAIL
    [shown] = blocks(README, "json")
    printed = output(["bash", "-euo", "pipefail"], code, address)
    answer, promised = json.loads(printed), json.loads(shown.text)
    assert kinds(answer) == kinds(promised)
    assert answer["status"] == promised["status"] == "anomaly"
    assert answer["timestamp"] == promised["timestamp"]


def kinds(value: Any) -> Any:
    """The names in a JSON value, in their order, and the kind of what each one holds."""
    if isinstance(value, dict):
        return [(name, kinds(held)) for name, held in value.items()]
    return type(value).__name__
