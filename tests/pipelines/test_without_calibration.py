"""All rows train: the stages, and the one command, with thresholds from cross-fitting."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from kizashi.runtime.bundle import load_bundle
from tests.bundles import PRESS_LINE, press_line_rows

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = (
    "split.train=0.9", "split.validation=0", "split.calibration=0", "split.holdout=0.1",
    "window.length=5", "scorer=drift_distance", "threshold=auto", "threshold.alpha=0.05",
    "trainer=fast", "trainer.steps=50", "trainer.progress=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "data.csv"
    frame = pd.DataFrame(press_line_rows(605), columns=[sensor.name for sensor in PRESS_LINE])
    frame.insert(0, "timestamp", pd.date_range("2026-05-01", periods=605, freq="s"))
    frame.to_csv(file, index=False)
    return file


def run(stage: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"pipelines.{stage}", *WITHOUT, *arguments]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_stages_leave_empty_parts_and_a_bundle_of_blocks(data: Path, tmp_path: Path) -> None:
    settings = (f"artifacts={tmp_path}", f"data.path={data}", "data.labelled=null", "tracking=none")
    run("validate", *settings)
    assert "train 540, validation 0, calibration 0, holdout 60" in run("split", *settings)
    assert len(pd.read_parquet(tmp_path / "split" / "calibration.parquet")) == 0
    run("train", *settings)
    threshold = load_bundle(tmp_path / "bundle").detector.threshold
    assert threshold.in_effect == "blocks" and threshold.cross_fitted
    assert threshold.calibration_rows == 540 - 8 * 4
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["holdout"]["false_alarm_rate"] < 0.3
    assert (tmp_path / "figures" / "losses.png").exists()
    assert "tracking is off" in run("register", *settings)


def test_one_command_fits_on_all_rows_but_the_holdout(data: Path, tmp_path: Path) -> None:
    said = run("fit", f"data.path={data}", f"output={tmp_path}")
    assert "rows follow one another, and were scored by cross-fitting in blocks" in " ".join(
        said.split()
    )
    assert load_bundle(tmp_path).detector.calibration.blocks == (*(63, 64, 63, 64, 63, 64, 63, 64),)
