import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from serving.following import detectors as detectors_module
from serving.following.cache import Cache, Pointer
from serving.following.detectors import Detectors
from tests.bundles import press_line_bundle


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", "key")


def adopt(cache: Cache, bundle: Bundle, version: str) -> None:
    cache.adopt(bundle.folder, name="kizashi", version=version, source="here", tags={})


def test_nothing_is_held_before_there_is_a_pointer(cache: Cache) -> None:
    detectors = Detectors(cache)
    assert detectors.refresh() is None
    assert detectors.why_none() == "none has been loaded yet"


def test_what_the_pointer_names_is_held(cache: Cache, press_line: Bundle) -> None:
    adopt(cache, press_line, "1")
    served = Detectors(cache).refresh()
    assert served is not None
    assert (served.name, served.version, served.bundle.hash) == ("kizashi", "1", press_line.hash)


def test_an_unmoved_pointer_is_not_loaded_again(cache: Cache, press_line: Bundle) -> None:
    adopt(cache, press_line, "1")
    detectors = Detectors(cache)
    assert detectors.refresh() is detectors.refresh()


def test_the_same_bundle_under_another_version_is_not_loaded_again(
    cache: Cache, press_line: Bundle
) -> None:
    detectors = Detectors(cache)
    adopt(cache, press_line, "1")
    first = detectors.refresh()
    adopt(cache, press_line, "2")
    second = detectors.refresh()
    assert first is not None
    assert second is not None
    assert second.version == "2"
    assert second.bundle is first.bundle


def test_a_pointer_that_is_written_anew_for_the_same_version_is_no_swap(
    cache: Cache, press_line: Bundle
) -> None:
    """As when two workers that start together each write it."""
    detectors = Detectors(cache)
    adopt(cache, press_line, "1")
    detectors.refresh()
    file = cache.pointer_file
    pointer = cache.pointer()
    assert pointer is not None
    file.write_text(file.read_text().replace(pointer.since, "2020-01-01T00:00:00Z"))
    served = detectors.refresh()
    assert served is not None and served.since == "2020-01-01T00:00:00Z"
    assert detectors.swapped == 0
    adopt(cache, press_line, "2")
    detectors.refresh()
    assert detectors.swapped == 1


def test_a_bundle_that_cannot_be_loaded_leaves_the_one_held(
    cache: Cache, press_line: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detectors = Detectors(cache)
    adopt(cache, press_line, "1")
    detectors.refresh()
    other = press_line_bundle(tmp_path / "other", seed=1)
    adopt(cache, other, "2")
    (cache.bundle_folder(other.hash) / "network.onnx").write_bytes(b"")
    served = detectors.refresh()
    assert served is not None
    assert served.version == "1"
    assert detectors.problem is not None
    assert "network.onnx is not the file that was saved" in detectors.problem
    assert "the model held before stays" in caplog.text


def test_a_pointer_that_cannot_be_read_leaves_what_is_held(
    cache: Cache, press_line: Bundle
) -> None:
    detectors = Detectors(cache)
    adopt(cache, press_line, "1")
    served = detectors.refresh()
    cache.pointer_file.write_text("{")
    assert detectors.refresh() is served
    assert detectors.problem is not None
    assert "pointer.json cannot be read" in detectors.problem


def test_what_could_not_be_loaded_is_tried_again_and_said_once(
    cache: Cache,
    press_line: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    adopt(cache, press_line, "1")
    network = cache.bundle_folder(press_line.hash) / "network.onnx"
    whole = network.read_bytes()
    network.write_bytes(b"")
    monkeypatch.setattr(detectors_module, "RETRY_SECONDS", 0.0)
    detectors = Detectors(cache)
    assert detectors.refresh() is None
    assert detectors.refresh() is None
    assert len(caplog.records) == 1
    network.write_bytes(whole)
    assert detectors.refresh() is not None
    assert detectors.problem is None


def test_what_could_not_be_loaded_is_not_tried_at_once_again(
    cache: Cache, press_line: Bundle
) -> None:
    adopt(cache, press_line, "1")
    network = cache.bundle_folder(press_line.hash) / "network.onnx"
    whole = network.read_bytes()
    network.write_bytes(b"")
    detectors = Detectors(cache)
    detectors.refresh()
    network.write_bytes(whole)
    assert detectors.refresh() is None


def test_a_pointer_that_was_unreadable_and_is_back_leaves_no_problem(
    cache: Cache, press_line: Bundle
) -> None:
    adopt(cache, press_line, "1")
    detectors = Detectors(cache)
    served = detectors.refresh()
    content = cache.pointer_file.read_text()
    cache.pointer_file.write_text("{")
    detectors.refresh()
    cache.pointer_file.unlink()
    cache.pointer_file.write_text(content)
    assert detectors.refresh() is served
    assert detectors.problem is None


def test_threads_that_ask_at_once_load_once(
    cache: Cache, press_line: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    adopt(cache, press_line, "1")
    detectors = Detectors(cache)
    together = threading.Barrier(8)

    def ask() -> object:
        together.wait()
        return detectors.held()

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(8) as pool:
        found = [one.result() for one in [pool.submit(ask) for _ in range(8)]]
    assert len([one for one in caplog.records if "serving kizashi" in one.message]) == 1
    assert set(map(id, found)) == {id(detectors.current)}


def test_a_request_looks_only_where_nothing_is_held(cache: Cache, press_line: Bundle) -> None:
    detectors = Detectors(cache)
    assert detectors.held() is None
    adopt(cache, press_line, "1")
    first = detectors.held()
    assert first is not None
    adopt(cache, press_line, "2")
    assert detectors.held() is first
    assert detectors.refresh() is not first


def test_a_folder_that_cannot_be_kept_is_a_problem_that_is_said(
    tmp_path: Path, press_line: Bundle
) -> None:
    class FullDisk(Cache):
        def adopt_folder(self, folder: Path) -> Pointer:
            raise OSError(28, "No space left on device")

    detectors = Detectors(FullDisk(tmp_path / "cache", "key"), press_line.folder)
    assert detectors.refresh() is None
    assert "cannot be kept in the cache: [Errno 28] No space left" in detectors.why_none()


def test_what_it_did_not_foresee_does_not_end_the_watch(
    tmp_path: Path,
    press_line: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Cache):
        surprises = 2

        def pointer(self) -> Pointer | None:
            if self.surprises:
                self.surprises -= 1
                raise RuntimeError("surprise")
            return super().pointer()

    adopt(Cache(tmp_path / "cache", "key"), press_line, "1")
    monkeypatch.setattr(detectors_module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(detectors_module, "LOOK_SECONDS", 0.01)
    detectors = Detectors(Broken(tmp_path / "cache", "key"))

    async def follow() -> None:
        watch = asyncio.create_task(detectors.watch())
        async with asyncio.timeout(20):
            while detectors.current is None and not watch.done():
                await asyncio.sleep(0.01)
        assert not watch.done()
        watch.cancel()

    asyncio.run(follow())
    assert detectors.problem is None
    assert caplog.text.count("unexpected: RuntimeError('surprise')") == 1
