"""What `make` says to someone who has just arrived, and to someone who lacks something."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED_BY_MAKE = ["awk", "cat", "cksum", "cut", "make", "rm", "sh", "test"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A download of the project, without git, in a folder whose name has a space."""
    folder = tmp_path / "my downloads" / "kizashi-main"
    folder.mkdir(parents=True)
    for name in ["Makefile", "pyproject.toml"]:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH with what make itself needs: no git, no Python, no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED_BY_MAKE:
        add_program(folder, name)
    return folder


def add_program(folder: Path, name: str) -> None:
    found = shutil.which(name)
    assert found, f"this machine has no {name}"
    (folder / name).symlink_to(found)


def add_script(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
    (folder / name).chmod(0o755)


def make(
    folder: Path, *arguments: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    # What the make of these very tests passed down is not what a newcomer's shell has.
    unset = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "PORT", "HOST", "UPGRADE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    if path is not None:
        environment["PATH"] = str(path)
    return subprocess.run(
        [shutil.which("make") or "make", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def sentences(failed: subprocess.CompletedProcess[str]) -> list[str]:
    """What was printed beside make's own report that a target failed."""
    assert failed.returncode != 0
    lines = (failed.stdout + failed.stderr).splitlines()
    return [line for line in lines if not re.match(r"make(\[\d+\])?: ", line)]


def test_make_alone_lists_the_targets_with_what_they_do(checkout: Path) -> None:
    listed = make(checkout)
    assert listed.returncode == 0
    names = [line.split()[1] for line in listed.stdout.splitlines()]
    assert names == [
        "help",
        "serve",
        "demo",
        "test",
        "check",
        "repro",
        "ui",
        "bench-detection",
        "bench-serving",
        "bench-history",
        "fuzz",
        "environment",
        "lock",
    ]
    assert all(len(line.split()) > 3 for line in listed.stdout.splitlines())


@pytest.mark.parametrize("target", ["serve", "test", "repro"])
def test_a_download_without_git_ends_with_one_sentence(checkout: Path, target: str) -> None:
    [sentence] = sentences(make(checkout, target))
    assert "no git repository" in sentence and "git init" in sentence
    assert not (checkout / ".venv").exists()


def test_a_bench_without_cases_ends_with_one_sentence(checkout: Path) -> None:
    [sentence] = sentences(make(checkout, "bench-detection"))
    assert "make bench-detection DATA=FOLDER" in sentence
    assert not (checkout / ".venv").exists()


def test_a_bench_adds_its_lock_to_the_environment_and_takes_nothing_away(checkout: Path) -> None:
    plan = make(checkout, "--dry-run", "bench-detection", "DATA=my cases").stdout
    order = [
        plan.index(step)
        for step in [
            "pip sync",
            "pip install --quiet --require-hashes",
            '-m bench.detection data="my',
        ]
    ]
    assert order == sorted(order)
    assert plan.count("pip sync") == 1 and "requirements/bench.txt" in plan


def test_a_missing_git_ends_with_one_sentence(checkout: Path, machine: Path) -> None:
    [sentence] = sentences(make(checkout, "serve", path=machine))
    assert "install git" in sentence


def test_a_missing_python_ends_with_one_sentence(checkout: Path, machine: Path) -> None:
    [sentence] = sentences(make(checkout, "environment", path=machine))
    assert "Python 3.11 or newer is needed (found: none)" in sentence


def test_an_old_python_is_named_in_the_sentence(checkout: Path, machine: Path) -> None:
    add_script(machine, "python3", 'test "$1" = --version || exit 1', "echo Python 3.9.2")
    [sentence] = sentences(make(checkout, "environment", path=machine))
    assert "found: Python 3.9.2" in sentence


def test_a_python_that_makes_no_environments_ends_with_one_sentence(
    checkout: Path, machine: Path
) -> None:
    # As on Debian without python3-venv: everything works but ensurepip.
    add_script(
        machine,
        "bare-python",
        'case "$2" in',
        f"*ensurepip*) exit 1 ;; *_base_executable*) echo '{machine}/bare-python' ;;",
        f"""*) exec '{sys.executable}' "$@" ;; esac""",
    )
    [sentence] = sentences(make(checkout, "environment", "PYTHON=bare-python", path=machine))
    assert "python3-venv" in sentence


def test_a_repository_passes_the_check_from_any_folder_of_a_larger_one(checkout: Path) -> None:
    subprocess.run(["git", "init", "--quiet", checkout.parent], check=True)
    larger = subprocess.run(
        ["make", "git-checkout"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert larger.returncode == 0, larger.stderr


def test_serve_checks_the_address_before_it_fetches_or_trains(checkout: Path) -> None:
    subprocess.run(["git", "init", "--quiet", checkout], check=True)
    plan = make(checkout, "--dry-run", "serve", "PORT=8123").stdout
    order = [
        plan.index(step) for step in ["pip sync", "-m serving --check", "dvc pull", "local.py"]
    ]
    assert order == sorted(order)
