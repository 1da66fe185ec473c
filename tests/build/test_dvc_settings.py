"""DVC's settings in the repository: silent, and nobody's rows enter git by a push."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_dvc_reports_nothing_and_has_no_default_remote() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".dvc" / "config")
    core = settings["core"]
    assert not core.getboolean("analytics") and not core.getboolean("check_update")
    assert "remote" not in core


def test_the_sample_remote_is_the_folder_in_the_repository() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".dvc" / "config")
    url = settings["'remote \"sample\"'"]["url"]
    assert (ROOT / ".dvc" / url).resolve() == ROOT / "sample_remote"


def test_a_new_object_in_the_sample_remote_is_kept_out_of_git(tmp_path: Path) -> None:
    ignore = tmp_path / "sample_remote" / ".gitignore"
    ignore.parent.mkdir()
    ignore.write_text((ROOT / "sample_remote" / ".gitignore").read_text())
    private = tmp_path / "sample_remote" / "files" / "md5" / "0a" / "private-rows"
    private.parent.mkdir(parents=True)
    private.write_text("press-01,1.2,0.9,1.1\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    staged = subprocess.run(
        ["git", "-C", tmp_path, "ls-files"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert staged == ["sample_remote/.gitignore"]


def test_the_bundled_sample_enters_git_whole_and_alone(tmp_path: Path) -> None:
    # Also in a repository that someone starts from a download of the project.
    shutil.copytree(ROOT / "sample_remote", tmp_path / "sample_remote")
    [folder] = re.findall(r"md5: ([0-9a-f]{32}\.dir)$", (ROOT / "data.dvc").read_text(), re.M)
    listed = json.loads((ROOT / "sample_remote" / place(folder)).read_text())
    objects = {place(folder), *(place(file["md5"]) for file in listed)}
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    staged = subprocess.run(
        ["git", "-C", tmp_path, "ls-files"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(staged) == {f"sample_remote/{name}" for name in {".gitignore", *objects}}


def place(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"
