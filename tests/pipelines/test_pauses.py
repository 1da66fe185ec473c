"""A machine that stands still at night, from the file to the windows that are learnt from."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kizashi.data.stretches import STRETCH
from kizashi.runtime.bundle import load_bundle
from pipelines.rows import labelled_part, part_rows
from pipelines.stages import StageFiles, read_json
from tests.bundles import PRESS_LINE, press_line_rows

ROOT = Path(__file__).resolve().parents[2]
DAY = 100
"""Rows in a row, one a second, before the machine stops for the night."""
DAYS = 8
WINDOWED = ("window.length=5", "split.train=0.5", "split.validation=0.1", "split.calibration=0.3")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Days with nights between them; in the second day one row is bad."""
    file = tmp_path_factory.mktemp("data") / "data.csv"
    frame = pd.DataFrame(press_line_rows(DAYS * DAY), columns=[one.name for one in PRESS_LINE])
    frame.loc[DAY + 50, "sound"] = np.nan
    seconds = np.arange(DAYS * DAY) + 50_000 * np.repeat(np.arange(DAYS), DAY)
    stamps = pd.Timestamp("2026-05-01T08:00:00Z") + pd.to_timedelta(seconds, unit="s")
    frame.insert(0, "timestamp", stamps)
    frame.to_csv(file, index=False)
    frame.assign(label=(np.arange(len(frame)) % DAY > 90).astype(int)).to_csv(
        file.with_name("labelled.csv"), index=False
    )
    return file


def run(stage: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"pipelines.{stage}", *WINDOWED, *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)


def test_stretches_pass_from_stage_to_stage(data: Path, tmp_path: Path) -> None:
    settings = (f"artifacts={tmp_path}", f"data.path={data}", "data=inferred", "tracking=none")
    said = run("validate", *settings, f"data.labelled={data.with_name('labelled.csv')}").stdout
    parted = (
        "normal: pauses (steps above 10 s) or rows left out part the rows into 9 stretches, the "
        "longest of 100 rows\n"
    )
    assert parted in said
    assert run("split", *settings).returncode == 0
    files = StageFiles(tmp_path)
    assert files.report()["stretches"]["count"] == DAYS + 1
    assert STRETCH not in read_json(files.validated / "contract.json")["sensors"]
    train = part_rows(files, "train")
    assert train.lengths.tolist() == [100, 50, 49, 100, len(train) - 299]
    assert train.values_NF.shape[1] == len(PRESS_LINE)
    labelled = labelled_part(files)
    assert labelled is not None
    assert labelled.rows.lengths.tolist() == [100, 50, 49, *[100] * 6]


def test_one_command_calibrates_on_windows_within_a_day(data: Path, tmp_path: Path) -> None:
    fast = ("trainer=fast", "trainer.steps=20", "trainer.progress=false", "threshold.alpha=0.05")
    done = run("fit", f"data.path={data}", f"output={tmp_path}", *fast)
    assert done.returncode == 0, done.stderr
    assert "into 9 stretches, the longest of 100 rows" in done.stdout
    bundle = load_bundle(tmp_path)
    # In the 235 rows of calibration are three nights; in each of the four days no window ends at
    # the first four rows.
    assert bundle.detector.threshold.calibration_rows == 235 - 4 * 4
    assert bundle.detector.contract.names == tuple(one.name for one in PRESS_LINE)


def test_nights_that_leave_no_window_whole_end_with_a_sentence(data: Path, tmp_path: Path) -> None:
    done = run("fit", f"data.path={data}", f"output={tmp_path}", "window.length=101")
    assert done.returncode == 1
    assert done.stderr == (
        "fit: no window of 101 rows is whole: pauses (steps above 10 s) or rows left out part the "
        "rows into 9 stretches, the longest of 100 rows; choose a shorter window.length, or a "
        "larger data.max_step where these steps are no pauses\n"
    )
