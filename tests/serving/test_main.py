"""`python -m serving` as a person meets it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.ports import reserved
from kizashi.errors import ConfigurationError
from serving.__main__ import address, check_address, check_keys
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.settings import Settings


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | path | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["serving", "--check"], ["serving"]])
def test_a_taken_port_ends_with_one_sentence_and_the_way_out(
    taken_port: int, tmp_path: Path, arguments: list[str]
) -> None:
    done = run(*arguments, KIZASHI_PORT=str(taken_port), KIZASHI_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"port {taken_port} on 127.0.0.1 is taken; end what uses it, or choose another with: "
        f"PORT={taken_port + 1} make serve\n"
    )


def test_a_free_port_passes_the_check_in_silence(taken_port: int) -> None:
    done = run("serving", "--check", KIZASHI_HOST="127.0.0.2", KIZASHI_PORT=str(taken_port))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("module", [["serving"], ["uvicorn", "serving.main:app"]])
def test_a_wrong_setting_ends_with_one_sentence(module: list[str]) -> None:
    done = run(*module, KIZASHI_PORT="http")
    assert done.returncode == 1
    assert done.stderr == "KIZASHI_PORT is 'http'; a whole number from 1 to 65535 is needed\n"


def test_a_cache_that_cannot_be_written_ends_with_one_sentence(
    tmp_path: Path, taken_port: int
) -> None:
    (tmp_path / "file").write_text("")
    free = {"KIZASHI_HOST": "127.0.0.2", "KIZASHI_PORT": str(taken_port)}
    done = run("serving", KIZASHI_CACHE=str(tmp_path / "file"), **free)
    assert done.returncode == 1
    assert done.stderr.startswith(f"KIZASHI_CACHE is '{tmp_path}/file' and cannot be written to")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["serving", "--check"], ["serving"]])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_where_others_can_reach_it_the_service_does_not_start_without_a_key(
    tmp_path: Path, arguments: list[str], host: str
) -> None:
    with reserved() as port:
        free = {"KIZASHI_HOST": host, "KIZASHI_PORT": str(port)}
        done = run(*arguments, KIZASHI_CACHE=str(tmp_path), **free)
    assert done.returncode == 1
    assert done.stderr == (
        f"KIZASHI_HOST is '{host}', which others can reach, and there is no key; create one with "
        "'python -m serving.keys create --name NAME --scope score', or let everybody in with "
        "KIZASHI_ALLOW_ANONYMOUS=true\n"
    )


def test_with_a_key_or_when_told_so_it_starts_where_others_can_reach_it(tmp_path: Path) -> None:
    everywhere = Settings(host="0.0.0.0", cache=tmp_path)
    check_keys(Settings(host="0.0.0.0", cache=tmp_path, allow_anonymous=True))
    KeyFile(everywhere.keys_file).add(make_key("press-01", ["score"])[0])
    check_keys(everywhere)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_on_this_machine_alone_it_starts_without_a_key(tmp_path: Path, host: str) -> None:
    check_keys(Settings(host=host, cache=tmp_path))


def test_a_named_file_of_keys_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"and there is no such file; create a key with"):
        check_keys(Settings(keys_file=tmp_path / "keys.json"))
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"is not a file of keys"):
        check_keys(Settings(keys_file=tmp_path / "keys.json"))


def test_help_names_where_the_settings_are() -> None:
    assert "docs/settings.md" in run("serving", "--help").stdout


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1", "a..b"])
def test_a_host_that_is_not_this_machine_is_named(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"KIZASHI_HOST is '{host}'; an address of this"):
        check_address(host, 8000)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_the_address_shown_can_be_opened_on_this_machine(host: str, shown: str) -> None:
    assert address(Settings(host=host)) == shown
