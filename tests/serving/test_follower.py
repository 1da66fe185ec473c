import shutil
import time
from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from serving import follower as follower_module
from serving.cache import Cache
from serving.detectors import Detectors
from serving.follower import Follower, follow
from serving.follower_lock import take_lock
from serving.follower_process import FollowerProcess
from serving.settings import Settings
from serving.sources import FolderSource
from tests.bundles import press_line_bundle


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
    before = [file.stat() for file in files]
    assert follower.check() is first
    assert [file.stat() for file in files] == before


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


def wait_until(true: object, seconds: float = 30) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_worker_starts_one_follower_and_ends_it(settings: Settings, press_line: Bundle) -> None:
    cache = Cache(settings.cache, settings.key)
    first, second = FollowerProcess(settings, cache), FollowerProcess(settings, cache)
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
    worker = FollowerProcess(settings, Cache(settings.cache, settings.key))
    worker.ensure()
    process = worker._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # what the kernel does for a worker that was killed
    assert process.wait(30) == 0
