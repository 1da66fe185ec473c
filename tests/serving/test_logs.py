import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from serving import logs
from serving.logs import JsonFormatter, TextFormatter, chosen, log_config

FORGED = (
    'all is well\n{"level": "critical", "message": "forged"}\r\nERROR:    forged\x1b[2K\u2028\x85'
)
Write = Callable[..., str]


@pytest.fixture(params=["json", "text"])
def kind(request: pytest.FixtureRequest) -> Literal["json", "text"]:
    value: Literal["json", "text"] = request.param
    return value


@pytest.fixture
def write(kind: str) -> Write:
    def written(message: str, *values: object, error: BaseException | None = None) -> str:
        formatter = (
            JsonFormatter() if kind == "json" else TextFormatter("%(levelprefix)s %(message)s")
        )
        info = None if error is None else (type(error), error, error.__traceback__)
        record = logging.LogRecord("serving.x", logging.ERROR, __file__, 1, message, values, info)
        return formatter.format(record)

    return written


@pytest.fixture
def _inside_a_request() -> Iterator[None]:
    token = logs.request_id.set("request-7")
    yield
    logs.request_id.reset(token)


def test_a_value_cannot_forge_a_line(write: Write) -> None:
    line = write("the source is %s", FORGED)
    assert len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)


def test_the_text_of_an_error_cannot_forge_a_line(kind: str, write: Write) -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        told = write("it failed", error=error)
    assert "ValueError" in told
    if kind == "json":
        assert len(told.splitlines()) == 1
        assert "forged" in json.loads(told)["exception"]
    else:
        assert all(one.startswith("    ") for one in told.split("\n")[1:])
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", told)


@pytest.mark.usefixtures("_inside_a_request")
def test_what_is_logged_inside_a_request_has_its_id(write: Write) -> None:
    assert "request-7" in write("it failed")


def test_the_passwords_of_addresses_are_left_out(write: Write) -> None:
    try:
        raise OSError("https://ada:s3cr3t@mlflow.example/api cannot be reached")
    except OSError as error:
        told = write("%s is asked", "postgresql://ada:s3cr3t@db/kizashi", error=error)
    assert "s3cr3t" not in told
    assert "ada" not in told
    assert "***@db/kizashi" in told
    assert "***@mlflow.example/api" in told


def test_a_line_of_json_says_when_who_and_what() -> None:
    record = logging.LogRecord(
        "serving.x", logging.WARNING, __file__, 1, "%s is late", ("it",), None
    )
    record.created = 1_700_000_000.25
    content = json.loads(JsonFormatter().format(record))
    assert content == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "serving.x",
        "message": "it is late",
        "process": record.process,
    }


def test_everything_that_is_logged_goes_the_same_way() -> None:
    program = (
        "import logging, logging.config, warnings\n"
        "from serving.logs import log_config\n"
        "logging.config.dictConfig(log_config('json'))\n"
        "for name in ('serving.limits', 'uvicorn.error', 'asyncio', 'another.library'):\n"
        "    logging.getLogger(name).info('info of %s', name)\n"
        "    logging.getLogger(name).error('error of %s', name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    told = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert told == [
        "info of serving.limits",
        "error of serving.limits",
        "error of uvicorn.error",
        "error of asyncio",
        "error of another.library",
    ]


@pytest.mark.parametrize(("terminal", "expected"), [(True, "text"), (False, "json")])
def test_auto_is_text_for_people_and_json_for_machines(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, expected: str
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr(sys, "stderr", Stream())
    assert chosen("auto") == expected
    assert chosen("json") == "json"
    assert chosen("text") == "text"
    formatters = log_config("auto")["formatters"]
    assert formatters == log_config("json" if expected == "json" else "text")["formatters"]
