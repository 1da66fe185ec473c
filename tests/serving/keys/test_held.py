"""What a worker holds of the file of keys, while the file changes under it."""

import logging
import os
from pathlib import Path

import pytest

from serving.keys.file import KeyFile
from serving.keys.held import HeldKeys
from serving.keys.key import Record, make_key


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def _added(file: KeyFile) -> tuple[Record, bytes]:
    record, key = make_key("press-01", ["score"])
    file.add(record)
    return record, key.encode()


def test_a_key_is_found_by_all_of_it_and_nothing_less(file: KeyFile) -> None:
    record, key = _added(file)
    _, other = _added(file)
    held = HeldKeys(file.path)
    assert held.find(key) == record
    mixed = key.rpartition(b"_")[0] + other[-20:]
    for wrong in (b"", key[:-1], key + b"x", key[3:], key.upper(), b"kz_nobody_x", b"kz_", mixed):
        assert held.find(wrong) is None


def test_where_no_key_was_ever_made_none_is_asked_for(file: KeyFile) -> None:
    held = HeldKeys(file.path)
    assert not held.required
    assert held.problem is None


def test_the_first_key_closes_a_running_service_and_the_next_is_known_too(file: KeyFile) -> None:
    held = HeldKeys(file.path)
    for _ in range(2):
        record, key = _added(file)
        assert held.find(key) is None
        held.refresh()
        assert held.required
        assert held.find(key) == record


def test_who_was_let_in_stays_as_long_as_the_key_holds(file: KeyFile) -> None:
    held = HeldKeys(file.path)
    assert held.holds(None)
    record, _ = _added(file)
    held.refresh()
    assert held.holds(record) and not held.holds(None)  # keys are asked for from now on
    file.revoke(record.id)
    held.refresh()
    assert not held.holds(record)


def test_a_revoked_key_is_found_as_revoked(file: KeyFile) -> None:
    record, key = _added(file)
    held = HeldKeys(file.path)
    file.revoke(record.id)
    held.refresh()
    found = held.find(key)
    assert found is not None
    assert found.revoked is not None
    assert held.required


@pytest.mark.parametrize("accident", ["gone", "broken", "emptied"])
def test_an_accident_to_the_file_leaves_the_last_keys_in_force_and_is_said(
    file: KeyFile, caplog: pytest.LogCaptureFixture, accident: str
) -> None:
    record, key = _added(file)
    held = HeldKeys(file.path)
    content = file.path.read_bytes()
    if accident == "gone":
        file.path.unlink()
    else:
        file.path.write_bytes(b"" if accident == "emptied" else content[:40])
    with caplog.at_level(logging.ERROR):
        held.refresh()
        held.refresh()
    assert held.find(key) == record
    assert held.required
    said = str(held.problem)
    assert said.endswith("; the last keys stay in force")
    assert [one.getMessage() for one in caplog.records] == [said]  # once

    file.path.write_bytes(content)
    held.refresh()
    assert held.problem is None
    assert held.find(key) == record


def test_a_list_without_keys_does_not_open_what_was_closed(file: KeyFile) -> None:
    _, key = _added(file)
    held = HeldKeys(file.path)
    file.path.write_text('{"keys": []}')
    held.refresh()
    assert held.find(key) is None
    assert held.required


def test_a_list_that_is_changed_in_place_within_a_tick_of_the_clock_is_read_anew(
    file: KeyFile,
) -> None:
    _, key = _added(file)
    held = HeldKeys(file.path)
    before = file.path.stat()
    file.path.write_text('{"keys": []}')
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    held.refresh()
    assert held.find(key) is None


def test_a_file_that_cannot_be_read_from_the_start_lets_nobody_in(file: KeyFile) -> None:
    file.path.write_text("{")
    held = HeldKeys(file.path)
    assert held.required
    assert str(held.problem).endswith("; nobody is let in")


def test_a_file_that_is_wanted_and_not_there_lets_nobody_in(file: KeyFile) -> None:
    held = HeldKeys(file.path, wanted=True)
    assert held.required
    assert held.problem == f"there is no file of keys at {file.path}; nobody is let in"
    record, key = _added(file)
    held.refresh()
    assert held.find(key) == record
    assert held.problem is None


def test_no_secret_is_logged(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    _, key = _added(file)
    with caplog.at_level(logging.DEBUG):
        held = HeldKeys(file.path)
        held.find(key)
        held.find(key[:-1])
    assert "keys that open the service: 1" in caplog.text
    assert key.rpartition(b"_")[2].decode() not in caplog.text
