import os
from pathlib import Path

import pytest

from kizashi.errors import BundleError, ConfigurationError
from kizashi.runtime.bundle import Bundle
from serving.following import cache as cache_module
from serving.following.cache import KEPT_BUNDLES, Cache, Pointer, Status, now, stamp, verified
from serving.following.follower_lock import take_lock
from tests.bundles import press_line_bundle


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache", "key")
    made.create()
    return made


def adopt(cache: Cache, bundle: Bundle, version: str = "1", **tags: str) -> Pointer:
    return cache.adopt(bundle.folder, name="kizashi", version=version, source="here", tags=tags)


def test_an_adopted_bundle_is_copied_and_pointed_to(cache: Cache, press_line: Bundle) -> None:
    pointer = adopt(cache, press_line, git_commit="abc")
    assert cache.pointer() == pointer
    assert pointer.bundle == press_line.hash
    assert pointer.tags == {"git_commit": "abc"}
    assert cache.holds(press_line.hash)


def test_only_the_bundles_own_files_are_kept(cache: Cache, press_line: Bundle) -> None:
    (press_line.folder / "registered_model_meta").write_text("beside it")
    adopt(cache, press_line)
    kept = {file.name for file in cache.bundle_folder(press_line.hash).iterdir()}
    assert kept == {"manifest.json", "detector.json", "arrays.npz", "network.onnx", "example.json"}


@pytest.mark.parametrize("name", ["detector.json", "arrays.npz", "network.onnx", "example.json"])
def test_an_altered_bundle_leaves_the_pointer_where_it_was(
    cache: Cache, press_line: Bundle, tmp_path: Path, name: str
) -> None:
    before = adopt(cache, press_line)
    other = press_line_bundle(tmp_path / "other", seed=1)
    with (other.folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=name):
        adopt(cache, other, "2")
    assert cache.pointer() == before
    assert [folder.name for folder in cache.bundles.iterdir()] == [press_line.hash]


def test_a_bundle_that_is_not_the_promised_one_is_refused(cache: Cache, press_line: Bundle) -> None:
    with pytest.raises(BundleError, match="the registry says 000000000000"):
        adopt(cache, press_line, bundle_hash="0" * 64)
    assert cache.pointer() is None


def test_a_bundle_damaged_in_the_cache_is_copied_anew(cache: Cache, press_line: Bundle) -> None:
    adopt(cache, press_line)
    (cache.bundle_folder(press_line.hash) / "arrays.npz").write_bytes(b"")
    assert not cache.holds(press_line.hash)
    adopt(cache, press_line)
    assert cache.holds(press_line.hash)


def test_a_bundle_that_another_process_kept_meanwhile_is_not_taken_from_under_who_reads_it(
    cache: Cache, press_line: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, kept = cache.bundle_folder(press_line.hash), []

    def slowly(folder: Path, bundle: str) -> Bundle:
        if folder != place:
            monkeypatch.setattr(cache_module, "verified", verified)
            adopt(Cache(tmp_path / "cache", "key"), press_line)
            kept.append(place.stat().st_ino)
        return verified(folder, bundle)

    monkeypatch.setattr(cache_module, "verified", slowly)
    adopt(cache, press_line)
    assert kept == [place.stat().st_ino]
    assert [folder.name for folder in cache.bundles.iterdir()] == [press_line.hash]


def test_new_tags_of_the_same_version_keep_since_when_it_serves(
    cache: Cache, press_line: Bundle
) -> None:
    since = adopt(cache, press_line).since
    long_ago = "2020-01-01T00:00:00Z"
    cache.pointer_file.write_text(cache.pointer_file.read_text().replace(since, long_ago))
    assert adopt(cache, press_line, checked_by="me").since == long_ago
    assert adopt(cache, press_line, "2").since != long_ago


def test_the_bundles_served_last_stay_and_those_that_any_pointer_names(
    cache: Cache, tmp_path: Path
) -> None:
    bundles = [
        press_line_bundle(tmp_path / str(seed), seed=seed) for seed in range(KEPT_BUNDLES + 3)
    ]
    elsewhere = Cache(tmp_path / "cache", "other-key")
    adopt(elsewhere, bundles[0])
    for age, bundle in enumerate(bundles):
        if age > 0:
            adopt(cache, bundle)
        os.utime(cache.bundle_folder(bundle.hash), (age, age))
    held = [bundle.hash for bundle in bundles if cache.holds(bundle.hash)]
    assert held == [bundle.hash for bundle in (bundles[0], *bundles[-KEPT_BUNDLES:])]


def test_a_folder_that_vanishes_while_others_are_dropped_stops_nothing(
    cache: Cache, press_line: Bundle
) -> None:
    (cache.bundles / "gone").symlink_to("nothing")
    (cache.bundles / ".incoming-gone").symlink_to("nothing")
    assert adopt(cache, press_line) == cache.pointer()


def test_only_the_follower_that_runs_can_have_spoken(cache: Cache) -> None:
    cache.write_status(Status(registry="reachable", since=now()))
    os.utime(cache.status_file, (1, 1))
    assert not cache.follower_spoke()
    lock = take_lock(cache.lock_file)
    assert lock is not None
    assert not cache.follower_spoke(), "what one before it said does not count"
    cache.write_status(Status(registry="reachable", since=now()))
    assert cache.follower_spoke()
    os.close(lock)


def test_the_stamp_of_a_pointer_changes_whenever_it_is_written(
    cache: Cache, press_line: Bundle
) -> None:
    assert stamp(cache.pointer_file) is None
    adopt(cache, press_line)
    first = stamp(cache.pointer_file)
    adopt(cache, press_line)
    assert stamp(cache.pointer_file) != first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"bundle": 5}'])
def test_a_pointer_that_cannot_be_read_is_none(cache: Cache, content: str) -> None:
    cache.pointer_file.write_text(content)
    assert cache.pointer() is None


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigurationError, match=r"KIZASHI_CACHE is '.*file' and cannot be written"
    ):
        Cache(tmp_path / "file", "key").create()
