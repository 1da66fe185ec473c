"""`python -m serving.keys` as a person meets it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serving.keys.held import HeldKeys


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving.keys", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "KIZASHI_CACHE": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_key_is_printed_alone_and_opens_the_service_until_it_is_revoked(
    tmp_path: Path,
) -> None:
    made = run(
        tmp_path,
        *("create", "--name", "press-01", "--scope", "score", "--scope", "operate"),
        *("--expires", "30", "--limit", "600/min"),
    )
    assert made.returncode == 0
    key = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"kz_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", key)
    assert key not in made.stderr
    assert "press-01" in made.stderr

    held = HeldKeys(tmp_path / "keys.json")
    found = held.find(key.encode())
    assert found is not None
    assert (found.name, found.scopes, found.limit) == ("press-01", ["score", "operate"], 600)

    listed = run(tmp_path, "list").stdout
    assert re.search(rf"{found.id} +press-01 +score,operate +[\d-]+ +[\d-]+ +600/min +good", listed)
    assert key[12:] not in listed

    revoked = run(tmp_path, "revoke", found.id)
    assert re.fullmatch(rf"{found.id} \(press-01\) was revoked on [\d-]+\n", revoked.stdout)
    assert "was revoked" in run(tmp_path, "list").stdout


def test_without_keys_the_list_says_how_to_make_one(tmp_path: Path) -> None:
    listed = run(tmp_path, "list")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "python -m serving.keys create --name" in listed.stderr


def test_revoking_an_unknown_key_ends_with_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "revoke", "nobody")
    assert done.returncode == 1
    assert (
        done.stderr == f"no key in {tmp_path}/keys.json has the id 'nobody'; known: it has none\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scope", "score"], "--name"),
        (["--name", "a"], "--scope"),
        (["--name", "a", "--scope", "root"], "'score', 'operate', 'admin'"),
        (["--name", "", "--scope", "score"], "printable characters are needed"),
        (["--name", "a\nb", "--scope", "score"], "printable characters are needed"),
        (["--name", "a", "--scope", "score", "--expires", "soon"], "a number of days above 0"),
        (["--name", "a", "--scope", "score", "--expires", "0"], "a number of days above 0"),
        (["--name", "a", "--scope", "score", "--expires", "nan"], "a number of days above 0"),
        (["--name", "a", "--scope", "score", "--limit", "0"], "a whole number from 1"),
        (["--name", "a", "--scope", "score", "--limit", "6/sec"], "a whole number from 1"),
    ],
)
def test_a_wrong_argument_is_named_and_makes_no_key(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run(tmp_path, "create", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "keys.json").exists()


def test_help_names_the_guide(tmp_path: Path) -> None:
    assert "docs/keys.md" in run(tmp_path, "--help").stdout
