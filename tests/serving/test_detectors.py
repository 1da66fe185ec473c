from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from serving.cache import Cache
from serving.detectors import Detectors
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
