import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kizashi.runtime.bundle import Bundle
from serving.companion import follower as follower_process
from serving.following import follower as follower_module
from serving.following.cache import Cache, stamp
from serving.following.detectors import Detectors
from serving.following.follower import Follower, RegistrySource, follow
from serving.following.follower_lock import take_lock
from serving.following.sources import FolderSource
from serving.settings import Settings
from tests.bundles import press_line_bundle
from tests.serving.services import wait_until

MLFLOW_WARNS = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_uri=str(tmp_path / "press-line"), cache=tmp_path / "cache")


@pytest.fixture
def follower(settings: Settings) -> Follower:
    return follow(settings)


def test_it_points_to_the_bundle_and_says_so(follower: Follower, press_line: Bundle) -> None:
    status = follower.check()
    assert (status.problem, status.refused, status.registry) == (None, None, "not used")
    pointer = follower.cache.pointer()
    assert pointer is not None
    assert pointer.bundle == press_line.hash


def test_looking_again_changes_nothing(follower: Follower, press_line: Bundle) -> None:
    first = follower.check()
    files = [follower.cache.pointer_file, follower.cache.status_file]
    before = [stamp(file) for file in files]
    assert follower.check() is first
    assert [stamp(file) for file in files] == before


def test_another_bundle_in_the_folder_is_followed(follower: Follower, press_line: Bundle) -> None:
    follower.check()
    other = press_line_bundle(press_line.folder, seed=1)
    assert other.hash != press_line.hash
    follower.check()
    pointer = follower.cache.pointer()
    assert pointer is not None
    assert pointer.bundle == other.hash


def test_a_bundle_that_fails_its_check_is_refused_and_the_old_one_stays(
    follower: Follower, press_line: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    follower.check()
    press_line_bundle(press_line.folder, seed=1)
    with (press_line.folder / "network.onnx").open("ab") as file:
        file.write(b" ")
    status = follower.check()
    assert status.refused is not None
    assert "network.onnx is not the file that was saved" in status.refused.reason
    pointer = follower.cache.pointer()
    assert pointer is not None
    assert pointer.bundle == press_line.hash
    assert "REFUSED" in caplog.text
    caplog.clear()
    assert follower.check() is status
    assert caplog.text == "", "a refusal is said once"


def test_a_refused_bundle_is_tried_again_later(
    follower: Follower, press_line: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = press_line.folder / "network.onnx"
    whole = network.read_bytes()
    network.write_bytes(whole[:-1])
    assert follower.check().refused is not None
    network.write_bytes(whole)
    assert follower.check().refused is not None
    monkeypatch.setattr(follower_module, "REFUSED_AGAIN_SECONDS", 0.0)
    assert follower.check().refused is None


def test_a_missing_folder_keeps_what_is_served(follower: Follower, press_line: Bundle) -> None:
    follower.check()
    shutil.rmtree(press_line.folder)
    status = follower.check()
    assert status.problem is not None
    assert "manifest.json cannot be read" in status.problem
    pointer = follower.cache.pointer()
    assert pointer is not None
    assert follower.cache.holds(pointer.bundle)


def test_a_cached_bundle_that_was_damaged_is_brought_anew(
    settings: Settings, press_line: Bundle
) -> None:
    follow(settings).check()
    cache = Cache(settings.cache, settings.key)
    (cache.bundle_folder(press_line.hash) / "arrays.npz").unlink()
    follow(settings).check()
    assert cache.holds(press_line.hash)


def test_what_it_did_not_foresee_does_not_end_it(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FolderSource):
        def notes(self) -> list[str]:
            raise RuntimeError("surprise")

    press_line_bundle(tmp_path / "press-line")
    cache = Cache(settings.cache, settings.key)
    cache.create()
    status = Follower(Broken(tmp_path / "press-line"), cache).check()
    assert status.problem == "unexpected: RuntimeError('surprise')"
    assert "surprise" in caplog.text


def test_a_status_that_cannot_be_written_is_said_once_and_written_as_soon_as_it_can(
    follower: Follower, press_line: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    file = follower.cache.status_file
    file.mkdir()  # in the way of the file
    status = follower.check()
    assert caplog.text.count("status.json cannot be written: Is a directory") == 1
    assert follower.check() is status
    assert caplog.text.count("cannot be written") == 1
    pointer = follower.cache.pointer()
    assert pointer is not None
    assert pointer.bundle == press_line.hash
    file.rmdir()
    follower.check()
    assert follower.cache.status() == status


@MLFLOW_WARNS
def test_notes_are_of_the_model_that_is_followed_and_looked_up_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri, uri)
    for name in ("kizashi", "press"):
        client.create_registered_model(name)
        client.create_model_version(name, "/nowhere")
        client.create_model_version(name, "/nowhere")
        client.set_registered_model_alias(name, "production", "1")
    stage(client, "kizashi", "2")
    sources = {
        followed: RegistrySource(followed, uri)
        for followed in ("models:/press", "models:/kizashi", "models:/kizashi/1")
    }

    def notes(followed: str) -> list[str]:
        sources[followed].resolve()
        return sources[followed].notes()

    assert notes("models:/press") == []
    assert len(notes("models:/kizashi")) == 1
    assert notes("models:/kizashi/1") == [], "the URI decides, not the alias"
    stage(client, "press", "2")
    assert notes("models:/press") == [], "looked up a moment ago"
    monkeypatch.setattr(follower_module, "NOTES_AGAIN_SECONDS", 0.0)
    (note,) = notes("models:/press")
    assert note.startswith("version 2 is in the stage Production, but")


@MLFLOW_WARNS
def test_a_note_ends_with_the_promotion_that_it_asked_for(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri, uri)
    client.create_registered_model("press")
    for _ in range(2):
        client.create_model_version("press", "/nowhere")
    client.set_registered_model_alias("press", "production", "1")
    stage(client, "press", "2")
    source = RegistrySource("models:/press", uri)
    source.resolve()
    assert len(source.notes()) == 1
    client.set_registered_model_alias("press", "production", "2")
    source.resolve()
    assert source.notes() == []


def stage(client: MlflowClient, name: str, version: str) -> None:
    with pytest.warns(FutureWarning, match="stages"):
        client.transition_model_version_stage(name, version, "Production")


def test_a_registry_that_does_not_exist_is_said_and_not_made(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", tracking_uri=f"sqlite:///{tmp_path}/none.db")
    status = follow(settings).check()
    assert status.registry == "unreachable"
    assert status.problem == f"the registry {tmp_path}/none.db does not exist yet"
    assert not (tmp_path / "none.db").exists()


def test_only_one_process_holds_the_lock(tmp_path: Path) -> None:
    held = take_lock(tmp_path / "lock")
    assert held is not None
    assert take_lock(tmp_path / "lock") is None


def test_a_worker_starts_one_follower_and_ends_it(settings: Settings, press_line: Bundle) -> None:
    cache = Cache(settings.cache, settings.key)
    first, second = follower_process(settings, cache), follower_process(settings, cache)
    first.ensure()
    second.ensure()
    try:
        wait_until(lambda: cache.status() is not None)
        detectors = Detectors(cache)
        detectors.refresh()
        assert detectors.current is not None
        assert [one.pid is None for one in (first, second)] == [False, True]
        assert take_lock(cache.lock_file) is None
    finally:
        first.stop()
    second.ensure()
    assert [one.pid is None for one in (first, second)] == [True, False], "the next takes over"
    second.stop()


def test_a_follower_ends_when_its_worker_is_gone(settings: Settings, press_line: Bundle) -> None:
    worker = follower_process(settings, Cache(settings.cache, settings.key))
    worker.ensure()
    process = worker._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # what the kernel does for a worker that was killed
    assert process.wait(180) == 0  # what it imports takes its time


def test_a_registry_file_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    store.write_text("no database")
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{store}",
        "KIZASHI_MODEL_URI": "models:/kizashi",
        "KIZASHI_CACHE": str(tmp_path / "cache"),
        "KIZASHI_POLL_SECONDS": "0.1",
    }
    command = [sys.executable, "-m", "serving.following.follower"]
    log = tmp_path / "log"
    with log.open("w") as stderr, subprocess.Popen(command, env=environment, stderr=stderr) as one:
        try:
            wait_until(lambda: "failed" in log.read_text())
            store.unlink()
            (tmp_path / "new").write_text("no database either")
            (tmp_path / "new").rename(store)
            wait_until(lambda: "was replaced" in log.read_text())
            wait_until(lambda: log.read_text().count(" failed: ") == 2)
            assert one.poll() is None
        finally:
            one.terminate()
