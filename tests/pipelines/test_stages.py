"""What one stage leaves for the next, and what it says where that is missing or of another kind."""

from pathlib import Path

import pytest

from kizashi.errors import ConfigurationError, DataError
from pipelines.stages import SETTINGS, StageFiles, read_json, write_json


@pytest.fixture
def files(tmp_path: Path) -> StageFiles:
    found = StageFiles(tmp_path)
    found.split.mkdir()
    write_json(found.split / SETTINGS, {"split.train": 0.6, "split.gap": 0})
    return found


def test_rows_made_with_these_settings_are_used(files: StageFiles) -> None:
    files.require_settings("split", {"split.train": 0.6, "split.gap": 0})


def test_rows_made_with_other_settings_are_refused(files: StageFiles) -> None:
    with pytest.raises(ConfigurationError) as raised:
        files.require_settings("split", {"split.train": 0.7, "split.gap": 0})
    assert str(raised.value) == (
        f"split.train is 0.7, and the rows in {files.folder} were made with 0.6; "
        "change conf/ and run: dvc repro"
    )


def test_a_setting_that_the_rows_do_not_know_is_refused(files: StageFiles) -> None:
    with pytest.raises(ConfigurationError, match=r"^split\.seed is 0, .* made with null; "):
        files.require_settings("split", {"split.seed": 0})


def test_a_stage_that_has_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run the stages before this one: dvc repro"):
        read_json(tmp_path / "validated" / "contract.json")
