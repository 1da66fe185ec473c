import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from kizashi.data.stream import open_table
from kizashi.data.verdict_file import VerdictFile
from kizashi.errors import DataError
from kizashi.registry import Registry
from kizashi.runtime.bundle import Bundle
from pipelines.score import run, score_table
from tests.bundles import PRESS_LINE, press_line_bundle, press_line_rows

REPOSITORY = Path(__file__).parents[2]
NAMES = [sensor.name for sensor in PRESS_LINE]
COLUMNS = ["timestamp", "score", "status", "p_value", "severity", "top_sensor", "reason"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("bundle") / "model")


def press_line_table(count: int, bad: tuple[int, ...] = ()) -> pd.DataFrame:
    """Normal rows with times, of which every tenth is an anomaly and `bad` have text as current."""
    frame = pd.DataFrame(press_line_rows(count, seed=8), columns=NAMES)
    frame.loc[::10, "sound"] += 1.5
    frame["current"] = frame["current"].astype(object)
    frame.loc[list(bad), "current"] = "n/a"
    stamps = pd.date_range("2026-02-01", periods=count, freq="s")
    frame.insert(0, "timestamp", stamps.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return frame


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Command":
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


class Command:
    """`python -m pipelines.score` with these arguments, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["score.py", *arguments])
        status = 0
        try:
            run()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Outcome(status, *self._capsys.readouterr())


@pytest.mark.parametrize("source", ["new.csv", "new.parquet"])
@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_each_row_of_the_input_has_one_row_in_the_output(
    tmp_path: Path, bundle: Bundle, score: Command, source: str, output: str
) -> None:
    frame = press_line_table(500, bad=(17, 400))
    if source.endswith(".csv"):
        frame.to_csv(source, index=False)
    else:
        frame.astype({"current": "str"}).to_parquet(source)
    ended = score(f"input={source}", f"output={output}", f"model={bundle.folder}")
    assert ended.status == 0, ended.err
    scores = pd.read_csv(output) if output.endswith(".csv") else pd.read_parquet(output)
    assert list(scores.columns) == COLUMNS
    assert scores["timestamp"].tolist() == frame["timestamp"].tolist()
    assert np.flatnonzero(scores["status"] == "invalid").tolist() == [17, 400]
    assert scores["score"].isna().sum() == 2
    assert scores["reason"][17] == "sensor 'current' is 'n/a'; a number in A is needed"
    anomalies = scores["status"] == "anomaly"
    assert anomalies[::10].drop(400).all()
    assert scores["top_sensor"].notna().tolist() == anomalies.tolist()
    assert "500 rows in" in ended.out
    assert f"{anomalies.sum()} anomalies, 2 bad rows" in ended.out
    assert "row 18: sensor 'current' is 'n/a'" in ended.out
    assert ended.err == ""


def test_a_file_in_many_pieces_scores_as_it_does_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = press_line_bundle(tmp_path / "windowed", window_length=5).detector
    press_line_table(3000, bad=(10, 999, 1000, 2999)).to_csv(tmp_path / "new.csv", index=False)
    for name, cells in (("one", 2**20), ("many", 500)):
        monkeypatch.setattr("kizashi.data.stream.CELLS_AT_ONCE", cells)
        output = VerdictFile(tmp_path / f"{name}.parquet")
        assert score_table(detector, open_table(tmp_path / "new.csv"), output).rows == 3000
    one, many = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    pd.testing.assert_frame_equal(one, many, rtol=1e-5)
    assert one["status"].isna().sum() == 4


@pytest.mark.parametrize(
    ("source", "setting", "pauses"),
    [
        ("new.csv", "auto", 2),
        ("new.parquet", "auto", 2),
        ("new.csv", "4000", 1),
        ("new.csv", "null", 0),
    ],
)
def test_after_a_pause_windows_begin_anew(
    tmp_path: Path, score: Command, source: str, setting: str, pauses: int
) -> None:
    windowed = press_line_bundle(tmp_path / "windowed", window_length=5)
    frame = press_line_table(60)
    seconds = np.arange(60) + np.repeat([0, 3600, 36_000], 20)
    frame["timestamp"] = pd.Timestamp("2026-02-01T00:00:00Z") + pd.to_timedelta(seconds, unit="s")
    if source.endswith(".csv"):
        frame.to_csv(source, index=False)
    else:
        frame.to_parquet(source)
    files = (f"input={source}", "output=scores.csv", f"model={windowed.folder}")
    ended = score(*files, f"data.max_step={setting}")
    assert ended.status == 0, ended.err
    unjudged = pd.read_csv("scores.csv")["status"].isna().to_numpy().reshape(3, 20)
    assert unjudged[0].tolist() == [True] * 4 + [False] * 16
    assert (unjudged[1:, 0].sum(), unjudged.sum()) == (pauses, 4 * (pauses + 1))
    told = f"{pauses} pauses; up to 4 rows after each have no whole window"
    assert (told in ended.out) is (pauses > 0)


def test_a_run_that_judged_nothing_fails_and_says_so(
    tmp_path: Path, bundle: Bundle, score: Command
) -> None:
    press_line_table(4, bad=(0, 1, 2, 3)).to_csv("new.csv", index=False)
    ended = score("input=new.csv", "output=scores.csv", f"model={bundle.folder}")
    assert (ended.status, ended.err) == (1, "score: none of the 4 rows could be judged\n")
    assert pd.read_csv("scores.csv")["reason"].notna().all()
    press_line_table(4).to_csv("new.csv", index=False)
    windowed = press_line_bundle(tmp_path / "windowed", window_length=5)
    ended = score("input=new.csv", "output=scores.csv", f"model={windowed.folder}")
    assert ended.status == 1
    assert "4 rows could be judged; 5 good rows in succession are needed" in ended.err


def test_a_time_column_of_another_name_is_found_named_or_left_out(
    bundle: Bundle, score: Command
) -> None:
    frame = press_line_table(20).rename(columns={"timestamp": "at"}).assign(note="ok")
    frame.to_csv("new.csv", index=False)
    for choice, first in (("auto", "at"), ("note", "note"), ("null", "score")):
        ended = score(
            "input=new.csv",
            "output=scores.csv",
            f"model={bundle.folder}",
            f"data.timestamp={choice}",
        )
        assert ended.status == 0, ended.err
        assert pd.read_csv("scores.csv").columns[0] == first


def test_times_of_a_parquet_file_keep_their_type(tmp_path: Path, bundle: Bundle) -> None:
    frame = press_line_table(20)
    frame["timestamp"] = (
        pd.to_datetime(frame["timestamp"]).dt.tz_convert("Asia/Tokyo").dt.as_unit("ms")
    )
    frame.astype({"current": "float64"}).to_parquet(tmp_path / "new.parquet")
    output = VerdictFile(tmp_path / "scores.parquet")
    score_table(bundle.detector, open_table(tmp_path / "new.parquet"), output)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    pd.testing.assert_series_equal(scores["timestamp"], frame["timestamp"])


def test_a_missing_sensor_is_named_with_the_columns_there_are(
    bundle: Bundle, score: Command
) -> None:
    press_line_table(20).rename(columns={"sound": "noise"}).to_csv("new.csv", index=False)
    ended = score("input=new.csv", "output=scores.csv", f"model={bundle.folder}")
    assert ended.status == 1
    assert ended.err == (
        "score: sensor 'sound' missing in 'new.csv'; it has the columns timestamp, vibration, "
        "current, noise\n"
    )
    assert not Path("scores.csv").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"output": "scores.xlsx"}, "ends in .csv or .parquet"),
        ({"output": "./new.csv"}, "the input itself"),
        ({"input": "absent.csv"}, "'absent.csv' does not exist"),
        ({"model": "nowhere/"}, "manifest.json cannot be read"),
        ({"data.timestamp": "time"}, "data.timestamp is 'time'"),
        ({"data.timestamp": "sound"}, "a sensor or a column of the output"),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(
    bundle: Bundle, score: Command, changed: dict[str, str], said: str
) -> None:
    press_line_table(5).to_csv("new.csv", index=False)
    before = Path("new.csv").read_bytes()
    settings = {"input": "new.csv", "output": "out.csv", "model": str(bundle.folder)} | changed
    ended = score(*(f"{name}={value}" for name, value in settings.items()))
    assert ended.status == 1
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert [found.name for found in Path().iterdir()] == ["new.csv"]
    assert Path("new.csv").read_bytes() == before


def test_a_link_to_the_input_is_refused_as_output(bundle: Bundle, score: Command) -> None:
    press_line_table(5).to_csv("new.csv", index=False)
    Path("link.csv").symlink_to("new.csv")
    ended = score("input=new.csv", "output=link.csv", f"model={bundle.folder}")
    assert (ended.status, "the input itself" in ended.err) == (1, True)


def test_a_file_that_breaks_off_midway_leaves_no_output(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kizashi.data.stream.CELLS_AT_ONCE", 500)
    text = press_line_table(1000).to_csv(index=False) + '"2026,1.2\n'
    (tmp_path / "new.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        score_table(
            bundle.detector, open_table(tmp_path / "new.csv"), VerdictFile(tmp_path / "out.parquet")
        )
    assert [found.name for found in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow's own
def test_the_production_version_scores_unless_another_is_named(
    tmp_path: Path, score: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    press_line_table(50).to_csv("new.csv", index=False)
    refused = score("input=new.csv", "output=scores.csv")
    assert (refused.status, "no production version" in refused.err) == (1, True)
    client, registry = MlflowClient(uri, uri), Registry(uri)
    client.create_registered_model("kizashi")
    detectors = []
    for seed in (1, 2):
        made = press_line_bundle(tmp_path / f"bundle-{seed}", seed=seed)
        client.create_model_version("kizashi", str(made.folder), tags={"bundle_hash": made.hash})
        detectors.append(made.detector)
    registry.promote(registry.version("1"))
    windows_BTF = press_line_table(50)[NAMES].to_numpy(dtype=np.float64)[:, None, :]
    for model, number in ((None, 1), ("models:/kizashi@production", 1), ("models:/kizashi/2", 2)):
        ended = score("input=new.csv", "output=scores.csv", *([f"model={model}"] if model else []))
        assert ended.status == 0, ended.err
        assert f"version {number} of 'kizashi'" in ended.out
        np.testing.assert_allclose(
            pd.read_csv("scores.csv")["score"], detectors[number - 1].score(windows_BTF)
        )


def test_a_bundle_folder_scores_without_mlflow_or_torch_and_quietly(
    tmp_path: Path, bundle: Bundle
) -> None:
    press_line_table(20).to_csv(tmp_path / "new.csv", index=False)
    program = (
        "import sys; from pipelines.score import run; run(); "
        "print(sorted({'mlflow', 'torch', 'lightning'} & set(sys.modules)))"
    )
    arguments = ["input=new.csv", "output=scores.csv", f"model={bundle.folder}"]
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/src", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"
    assert ended.stderr == ""
    assert sorted(found.name for found in tmp_path.iterdir()) == ["new.csv", "scores.csv"]


def test_help_says_what_the_command_does_and_lists_its_settings(score: Command) -> None:
    shown = score("--help")
    assert shown.status == 0
    assert "input=new.csv output=scores.parquet" in shown.out
    assert "uri: models:/kizashi" in shown.out
