"""Every example of docs/protocols.md, asked of a real service."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.bundles import press_line_bundle
from tests.docs.markdown import ROOT, blocks
from tests.serving.protocols.conftest import application, running

GUIDE = ROOT / "docs" / "protocols.md"
LINES = [
    line
    for block in blocks(GUIDE, "sh")
    for line in block.text.splitlines()
    if line.startswith("curl ") and "new-rows.csv" not in line
]
SHOWN = {
    line: following.removeprefix("# ")
    for block in blocks(GUIDE, "sh")
    for line, following in zip(block.text.splitlines(), block.text.splitlines()[1:], strict=False)
    if line.startswith("curl ") and following.startswith("# ")
}
SNIPPETS = [block.text for block in blocks(GUIDE, "python") if "boto3" not in block.text]


@pytest.fixture
def sample(tmp_path: Path) -> FastAPI:
    """A service whose model has the name and the sensors of the bundled sample's."""
    bundle = press_line_bundle(tmp_path / "kizashi")
    return application(bundle.folder, tmp_path / "cache")


@pytest.fixture
def sample_address(sample: FastAPI) -> Iterator[str]:
    with running(sample) as where:
        yield where


def asked(client: TestClient, line: str) -> Any:
    words = shlex.split(line.replace("$'", "'"))
    headers = dict(after.split(": ") for word, after in pairwise(words) if word == "-H")
    body = next(after for word, after in pairwise(words) if word in ("-d", "--data-binary"))
    path = next(urlsplit(word).path for word in words if word.startswith("http"))
    return client.post(path, content=body.replace("\\n", "\n").encode(), headers=headers)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[3])
def test_every_request_is_answered_as_shown(sample: FastAPI, line: str) -> None:
    answer = asked(TestClient(sample), line)
    assert answer.status_code == 200, answer.text
    if line in SHOWN:
        assert without_numbers(answer.json()) == without_numbers(json.loads(SHOWN[line]))


def without_numbers(content: Any) -> str:
    """An answer of another model has other scores, and its version another name."""
    text = re.sub(r'"model_version": "\w+"', "", json.dumps(content))
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", "NUMBER", text)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split()[1])
def test_every_snippet_runs(
    sample_address: str, snippet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = snippet.replace("127.0.0.1:8000", sample_address.removeprefix("http://"))
    exec(compile(own, str(GUIDE), "exec"), {})
    assert re.search("anomaly|True", capsys.readouterr().out)
