import hashlib
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient

from kizashi.errors import RegistryError
from kizashi.registry import BUNDLE_HASH
from kizashi.runtime.bundle import load_bundle
from kizashi.tracking import (
    Tracking,
    dvc_md5,
    file_hash,
    git_state,
    lineage,
    register_bundle,
    start_run,
)
from tests.bundles import press_line_bundle
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS, Store

pytestmark = MLFLOWS_OWN_WARNINGS
CONFIG = {"model": {"latent": 4, "hidden": [64, 32]}, "seed": 0}
REPORT = {"source": "data/data.csv", "sha256": "ab" * 32, "dvc_md5": "cd" * 16}


@pytest.fixture(scope="module")
def recorded(store: Store) -> Any:
    """One run with everything that a training run records."""
    frame = pd.DataFrame({"vibration": [1.0, 2.0]})
    bundle = store.bundle(0)
    with start_run(Tracking("recorded", store.uri)) as run:
        run.parameters(CONFIG)
        run.dataset(frame, REPORT, "training")
        for epoch in range(3):
            run.losses(epoch, {"train_loss": 1.0 / (epoch + 1)})
        figure = Figure()
        figure.subplots().plot([1, 2])
        run.figure(figure, "losses")
        run.metrics(
            {
                "labelled.faults.bearing wear.recall": 0.5,
                "labelled.faults.wear (outer), 80 %.recall": 0.25,
                "labelled.faults.wear [outer]; 80 %.recall": 0.75,
                "/labelled.faults.摩耗 > 3/../4.recall": 0.125,
                f"labelled.faults.{300 * 'x'}.recall": 1.0,
            }
        )
        run.tags(lineage(bundle, REPORT))
        run.model(bundle)
    assert run.run_id is not None
    return MlflowClient(store.uri).get_run(run.run_id)


def test_the_composed_configuration_is_recorded_whole_and_flat(store: Store, recorded: Any) -> None:
    assert recorded.data.params == {
        "model.latent": "4",
        "model.hidden": "[64, 32]",
        "seed": "0",
    }
    path = mlflow.artifacts.download_artifacts(
        run_id=recorded.info.run_id, artifact_path="config.yaml", tracking_uri=store.uri
    )
    assert "latent: 4" in Path(path).read_text()


def test_each_loss_is_a_curve(store: Store, recorded: Any) -> None:
    curve = MlflowClient(store.uri).get_metric_history(recorded.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in curve] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_figures_and_metrics_are_recorded_under_names_that_mlflow_takes(
    store: Store, recorded: Any
) -> None:
    assert {
        "labelled.faults.bearing_wear.recall": 0.5,
        "labelled.faults.wear_outer_80_.recall": 0.25,
        "labelled.faults.wear_outer_80_.recall_2": 0.75,
        "_labelled.faults.摩耗_3_.._4.recall": 0.125,
    }.items() <= recorded.data.metrics.items()
    assert 1.0 in [v for name, v in recorded.data.metrics.items() if "xxx" in name]
    files = MlflowClient(store.uri).list_artifacts(recorded.info.run_id, "figures")
    assert [file.path for file in files] == ["figures/losses.png"]


def test_the_data_set_is_recorded_with_its_digest_and_where_it_came_from(recorded: Any) -> None:
    (used,) = recorded.inputs.dataset_inputs
    assert used.dataset.name == "data.csv"
    assert used.dataset.digest == REPORT["sha256"][:36]
    assert "data/data.csv" in used.dataset.source
    assert used.tags[0].value == "training"


def test_a_run_leads_back_to_data_commit_and_bundle(store: Store, recorded: Any) -> None:
    tags = recorded.data.tags
    assert tags[BUNDLE_HASH] == store.bundle(0).hash
    assert tags["data_source"] == "data/data.csv"
    assert tags["data_hash"] == REPORT["sha256"]
    assert tags["data_dvc_md5"] == REPORT["dvc_md5"]
    assert tags["git_dirty"] in {"true", "false"}
    assert len(tags["git_commit"]) == 40
    assert recorded.info.status == "FINISHED"


def test_a_bundle_is_registered_from_the_run_that_made_it(store: Store) -> None:
    bundle, tracking = store.bundle(31), Tracking("made", store.uri)
    with start_run(tracking) as run:
        run.tags(lineage(bundle, REPORT))
        run.model(bundle)
    version = register_bundle(store.registry("made"), tracking, bundle, {"git_commit": "later"})
    assert version.run_id == version.tags["run_id"] == run.run_id
    assert version.tags["data_hash"] == REPORT["sha256"]
    assert version.tags.get("git_commit") != "later"
    assert "restored" not in version.tags


def test_a_bundle_whose_run_is_gone_is_recorded_anew_and_registered(
    store: Store, tmp_path: Path
) -> None:
    bundle = press_line_bundle(tmp_path / "bundle", seed=71)
    tracking, tags = Tracking("gone", store.uri), lineage(bundle, REPORT)
    with start_run(tracking) as run:
        run.tags(tags)
        run.model(bundle)
    assert run.run_id is not None
    MlflowClient(store.uri).delete_run(run.run_id)
    registry = store.registry("gone")
    version = register_bundle(registry, tracking, bundle, tags)
    assert version.run_id not in (None, run.run_id)
    assert version.tags["restored"] == "true"
    assert version.tags["data_hash"] == REPORT["sha256"]
    fetched = load_bundle(registry.download(version, tmp_path / "fetched"))
    assert fetched.hash == bundle.hash
    assert register_bundle(registry, tracking, bundle, tags).version == version.version == "1"


def test_a_run_that_fails_is_recorded_as_failed(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), start_run(Tracking("failing", store.uri)) as run:
        _ = 1 / 0
    assert run.run_id is not None
    assert MlflowClient(store.uri).get_run(run.run_id).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_with_tracking_off_nothing_is_recorded(tmp_path: Path, store: Store) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with start_run(Tracking("off", uri, enabled=False)) as run:
        run.parameters(CONFIG)
        run.dataset(pd.DataFrame({"a": [1.0]}), REPORT, "training")
        run.losses(0, {"loss": 1.0})
        run.metrics({"recall": 0.5})
        run.tags({"a": "b"})
        run.model(store.bundle(0))
    assert run.run_id is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_used_is_a_registry_error(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("no folder")
    uri = f"sqlite:///{tmp_path}/file/mlflow.db"
    try:
        with (
            pytest.raises(RegistryError, match=r"^MLflow at sqlite:.* cannot be used: "),
            start_run(Tracking("nowhere", uri)),
        ):
            pytest.fail("nothing can be recorded there")
    finally:
        mlflow.set_tracking_uri(store.uri)


def test_a_files_hash_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n" * 100_000)
    assert file_hash(path) == hashlib.sha256(b"a,b\n" * 100_000).hexdigest()


@pytest.mark.parametrize("tracked", ["data.dvc", "data/data.csv.dvc"])
def test_the_dvc_version_is_that_of_the_file_or_the_nearest_tracked_folder(
    tmp_path: Path, tracked: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / tracked).write_text("outs:\n- md5: 0123abcd.dir\n  size: 12\n  path: data\n")
    assert dvc_md5(tmp_path / "data" / "data.csv") == {"dvc_md5": "0123abcd.dir"}


def test_a_file_that_dvc_does_not_track_has_no_dvc_version(tmp_path: Path) -> None:
    assert dvc_md5(tmp_path / "data" / "data.csv") == {}


def test_the_commit_and_whether_the_tree_is_dirty_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() == {}
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    clean = git_state()
    assert len(clean["git_commit"]) == 40
    assert clean["git_dirty"] == "false"
    (tmp_path / "dvc.lock").write_text("")  # `dvc repro` writes it on the way
    assert git_state() == clean
    (tmp_path / "new.py").write_text("")
    assert git_state() == clean | {"git_dirty": "true"}


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == {}
