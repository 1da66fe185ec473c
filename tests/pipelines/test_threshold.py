"""A registered version, recalibrated on new rows in an MLflow store of SQLite."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from kizashi.registry import Registry
from kizashi.runtime.bundle import Bundle, load_bundle
from kizashi.tracking import Tracking, file_hash, register_bundle, start_run
from pipelines.threshold import main
from tests.bundles import ANOMALOUS_ROW, PRESS_LINE, press_line_bundle, press_line_rows
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS

pytestmark = MLFLOWS_OWN_WARNINGS
NAMES = [sensor.name for sensor in PRESS_LINE]


class Line(NamedTuple):
    """A registry whose version 1 is in production, in a folder with new rows."""

    folder: Path
    uri: str
    bundle: Bundle

    @property
    def registry(self) -> Registry:
        return Registry(self.uri)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    folder = tmp_path_factory.mktemp("line")
    uri, bundle = f"sqlite:///{folder / 'mlflow.db'}", press_line_bundle(folder / "bundle")
    (folder / "learned.csv").write_text("vibration,current,sound\n" + "1.2,0.9,1.1\n1,1,1\n" * 50)
    learned = file_hash(folder / "learned.csv")
    tags = {"bundle_hash": bundle.hash, "data_hash": learned}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow is when it makes a store is where artifacts go
        tracking, registry = Tracking(uri=uri), Registry(uri)
        with start_run(tracking) as run:
            run.tags(tags)
            run.model(bundle)
        registry.promote(register_bundle(registry, tracking, bundle, tags))
    noisier_NF = press_line_rows(1500, seed=9)
    noisier_NF += np.random.default_rng(9).normal(0, 0.02, noisier_NF.shape)
    frame = pd.DataFrame(noisier_NF, columns=NAMES)
    frame.insert(0, "timestamp", pd.date_range("2026-05-01", periods=1500, freq="s"))
    frame.to_csv(folder / "new.csv", index=False)
    frame[NAMES].head(20).to_csv(folder / "few.csv", index=False)
    frame.rename(columns={"sound": "pressure"}).to_csv(folder / "other.csv", index=False)
    frame.assign(current="n/a").to_csv(folder / "bad.csv", index=False)
    labelled = frame.head(400).assign(label=0, fault="")
    for name, rows in {"wear": slice(50, 149), "slip": slice(250, 349)}.items():
        for sensor, reading in zip(NAMES, ANOMALOUS_ROW, strict=True):
            labelled.loc[rows, sensor] = reading
        labelled.loc[rows, "label"] = 1
        labelled.loc[rows, "fault"] = name
    labelled.to_csv(folder / "labelled.csv", index=False)
    return Line(folder, uri, bundle)


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


class Command:
    """`python -m pipelines.threshold` with these arguments, in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys

    def __call__(self, *arguments: str) -> Outcome:
        self._patch.setattr("sys.argv", ["threshold.py", *arguments])
        self._capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Outcome(status, *self._capsys.readouterr())


@pytest.fixture
def recalibrate(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(line.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", line.uri)
    return Command(monkeypatch, capsys)


def candidate(line: Line, folder: Path) -> Bundle:
    version = line.registry.resolve("models:/kizashi@candidate")
    return load_bundle(line.registry.download(version, folder))


def test_new_rows_give_a_new_version_with_the_same_network_and_another_threshold(
    line: Line, recalibrate: Command, tmp_path: Path
) -> None:
    ended = recalibrate("data.path=new.csv")
    assert ended.status == 0, ended.err
    made, rows_NF = candidate(line, tmp_path), pd.read_csv("new.csv")[NAMES].to_numpy()
    old, new = line.bundle.detector, made.detector
    scores = old.score(old.windows(rows_NF))
    np.testing.assert_allclose(new.calibration.scores, scores)
    assert new.threshold.kind == "conformal"  # the rule of the version, at its rate
    assert new.threshold.value == pytest.approx(np.sort(scores)[1485])
    assert (made.folder / "network.onnx").read_bytes() == (
        line.bundle.folder / "network.onnx"
    ).read_bytes()
    rate = (scores > old.threshold.value).mean()
    assert rate > 0.03
    assert f"false alarms on 1,500 new normal windows: {rate:.3%}, asked for 1.000%" in ended.out
    assert f"version 1: threshold {old.threshold.value:.6g} (conformal)" in ended.out
    assert f"recalibrated: threshold {new.threshold.value:.6g} (conformal)" in ended.out
    production = line.registry.production()
    assert production is not None and production.version == "1"


def test_its_run_and_its_version_say_what_it_was_made_of_and_why(
    line: Line, recalibrate: Command
) -> None:
    assert recalibrate("data.path=new.csv", "threshold=auto", "threshold.alpha=0.02").status == 0
    version = line.registry.resolve("models:/kizashi@candidate")
    assert version.run_id is not None
    run = MlflowClient(line.uri).get_run(version.run_id)
    for tags in (version.tags, run.data.tags):
        assert tags["parent_version"] == "1"
        assert tags["parent_bundle_hash"] == line.bundle.hash
        assert tags["training_data_hash"] == file_hash(line.folder / "learned.csv")
        assert tags["data_hash"] == file_hash(line.folder / "new.csv")
        assert tags["recalibrated"].startswith("the threshold ")
        assert tags["threshold_rule"] == "conformal"
        assert tags["threshold_reason"].startswith("auto took 'conformal': ")
    assert run.data.params["threshold.alpha"] == "0.02"
    assert run.data.metrics["windows"] == 1500
    assert run.inputs is not None
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["new.csv"]


def test_the_same_rows_and_rule_are_registered_once(line: Line, recalibrate: Command) -> None:
    first = recalibrate("data.path=new.csv", "threshold=mad")
    again = recalibrate("data.path=new.csv", "threshold=mad")
    assert first.out.splitlines()[-2:] == again.out.splitlines()[-2:]


def test_new_scores_can_join_those_that_are_there(
    line: Line, recalibrate: Command, tmp_path: Path
) -> None:
    assert recalibrate("data.path=new.csv", "keep=true").status == 0
    scores = candidate(line, tmp_path).detector.calibration.scores
    there = line.bundle.detector.calibration.scores
    assert len(scores) == len(there) + 1500
    np.testing.assert_array_equal(scores[: len(there)], there)


def test_a_rule_that_wants_labels_is_chosen_by_the_first_half_of_the_faults(
    line: Line, recalibrate: Command, tmp_path: Path
) -> None:
    labels = "data.labelled=labelled.csv"
    assert recalibrate("data.path=new.csv", "threshold=labelled", labels).status == 0
    details = candidate(line, tmp_path).detector.threshold.details
    assert details["faulty_rows"] == details["found"] == 100
    assert details["labelled_rows"] == 200


def test_another_version_can_be_recalibrated(line: Line, recalibrate: Command) -> None:
    assert recalibrate("data.path=new.csv", "threshold=quantile").status == 0
    quantile = line.registry.resolve("models:/kizashi@candidate").version
    ended = recalibrate("data.path=new.csv", "version=candidate", "threshold=mad")
    assert ended.out.startswith(f"version {quantile}: threshold ")
    ended = recalibrate("data.path=new.csv", "version=1", "threshold=mad")
    assert ended.out.startswith("version 1: threshold ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "data.path is missing; give new normal rows as data.path="),
        (["data.path=nowhere.csv"], "nowhere.csv"),
        (["data.path=other.csv"], "'sound'"),
        (["data.path=few.csv"], "20 good rows are too few to calibrate on; at least 30 are needed"),
        (["data.path=bad.csv"], "none of the 1,500 rows can be used"),
        (["data.path=learned.csv"], "'learned.csv' is the file that version 1 was trained on; "),
        (["data.path=new.csv", "version=99"], "model 'kizashi' has no version 99; there are: 1"),
        (["data.path=new.csv", "name=other"], "model 'other' has no production version"),
        (["data.path=new.csv", "threshold=labelled"], "give data.labelled=FILE"),
        (["data.path=new.csv", "threshold=pot", "threshold.alpha=0.5"], "threshold: the false"),
        (["data.path=new.csv", "tracking=none"], "tracking is off"),
        (["data.path=new.csv", "in_time=perhaps"], "in_time is 'perhaps'; true or false"),
    ],
)
def test_what_cannot_be_recalibrated_ends_with_a_sentence_and_leaves_the_registry_as_it_was(
    line: Line, recalibrate: Command, arguments: list[str], message: str
) -> None:
    before = [version.version for version in line.registry.versions()]
    ended = recalibrate(*arguments)
    assert ended.status == 1
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert [version.version for version in line.registry.versions()] == before


def test_torch_is_not_needed(line: Line) -> None:
    code = (
        "import sys; sys.argv = ['threshold.py', 'data.path=new.csv', 'threshold.alpha=0.05',"
        " 'threshold=conformal'];"
        "from pipelines.threshold import main; main(); print('torch' in sys.modules)"
    )
    repository = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=line.folder,
        env={
            "PYTHONPATH": f"{repository}:{repository}/src",
            "MLFLOW_TRACKING_URI": line.uri,
            "PATH": "",
        },
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "False"
