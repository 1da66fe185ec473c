"""The file of keys, and what is in it."""

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kizashi.errors import ConfigurationError
from serving.keys.file import KeyFile
from serving.keys.key import make_key, split_key


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys" / "keys.json")


def test_without_a_file_there_are_no_keys(file: KeyFile) -> None:
    assert file.read() is None


def test_a_key_has_an_id_and_a_secret_of_256_bits() -> None:
    record, key = make_key("press-01", ["score"])
    name, secret = split_key(key.encode())
    assert key.startswith("kz_")
    assert name.decode() == record.id
    assert len(secret) == 43  # 32 bytes, six bits a character


def test_what_is_kept_says_nothing_of_the_secret(file: KeyFile) -> None:
    record, key = make_key("press-01", ["score"])
    file.add(record)
    secret = split_key(key.encode())[1].decode()
    assert secret not in file.path.read_text()
    assert file.read() == [record]


def test_the_file_is_for_its_owner_alone(file: KeyFile) -> None:
    file.add(make_key("press-01", ["score"])[0])
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_two_keys_with_the_same_secret_would_look_different() -> None:
    first, second = make_key("a", ["score"])[0], make_key("a", ["score"])[0]
    assert first.salt != second.salt


def test_a_revoked_key_stays_in_the_file_as_revoked_the_first_time(file: KeyFile) -> None:
    record, _ = make_key("press-01", ["score"])
    file.add(record)
    revoked = file.revoke(record.id).revoked
    assert revoked is not None
    assert file.revoke(record.id).revoked == revoked
    assert [kept.revoked for kept in file.read() or []] == [revoked]


def test_revoking_what_is_not_there_names_what_is(file: KeyFile) -> None:
    record, _ = make_key("press-01", ["score"])
    file.add(record)
    with pytest.raises(ConfigurationError, match=f"has the id 'other'; known: {record.id}"):
        file.revoke("other")


def test_a_key_ends_when_it_expires() -> None:
    now = datetime.now(UTC)
    record, _ = make_key("press-01", ["score"], expires=now + timedelta(days=1))
    assert record.ended(now) is None
    assert str(record.ended(now + timedelta(days=1))).startswith("expired on 20")


@pytest.mark.parametrize(
    ("scopes", "rank"), [(["score"], 1), (["operate", "score"], 2), (["admin"], 3)]
)
def test_a_key_ranks_as_its_highest_scope(scopes: list[str], rank: int) -> None:
    assert make_key("a", scopes)[0].rank == rank  # type: ignore[arg-type]


def test_keys_made_at_the_same_time_are_all_kept(file: KeyFile) -> None:
    made = [make_key(str(number), ["score"])[0] for number in range(12)]
    threads = [threading.Thread(target=file.add, args=(record,)) for record in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {record.id for record in file.read() or []} == {record.id for record in made}
    names = sorted(one.name for one in file.path.parent.iterdir())
    assert names == ["keys.json", "keys.json.lock"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a file of keys"),
        (b"\xff", "is not a file of keys"),
        (b'{"keys": 1}', "is not a file of keys"),
        (b'{"keys": [{"id": "a"}]}', "missing required field"),
        (b'{"keys": [], "more": 1}', "unknown field `more`"),
    ],
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(
    file: KeyFile, content: bytes, said: str
) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        file.read()
    with pytest.raises(ConfigurationError, match=said):
        file.add(make_key("press-01", ["score"])[0])
    assert file.path.read_bytes() == content


def test_an_id_that_occurs_twice_is_refused(file: KeyFile) -> None:
    record, _ = make_key("press-01", ["score"])
    file.add(record)
    content = json.loads(file.path.read_text())
    content["keys"] *= 2
    file.path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=f"two keys with the id '{record.id}'"):
        file.read()


def test_a_link_stays_a_link_to_the_file_of_keys(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    link = tmp_path / "keys.json"
    link.symlink_to(tmp_path / "secrets" / "keys.json")
    KeyFile(link).add(make_key("press-01", ["score"])[0])
    assert link.is_symlink()
    assert len(KeyFile(tmp_path / "secrets" / "keys.json").read() or []) == 1


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = KeyFile(tmp_path / "file" / "keys.json")
    with pytest.raises(ConfigurationError, match=r"file/keys\.json', which cannot be written to"):
        file.add(make_key("press-01", ["score"])[0])
