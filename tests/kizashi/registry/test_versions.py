"""The versions of a registered model, and a registry that does not answer."""

import os
import socket
from pathlib import Path

import pytest

from kizashi.errors import RegistryError, RegistryUnreachable
from kizashi.registry import (
    BUNDLE_HASH,
    CANDIDATE,
    Registry,
    tracking_uri,
    without_password,
)
from kizashi.runtime.bundle import bundle_hash
from kizashi.tracking import Tracking, register_bundle
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS, Store
from tests.kizashi.registry.conftest import Model

pytestmark = MLFLOWS_OWN_WARNINGS


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def test_a_model_that_was_never_registered_has_no_versions_and_no_production(model: Model) -> None:
    assert model.registry.versions() == []
    assert model.registry.production() is None
    assert model.registry.find("hash-0") is None
    assert model.registry.notes() == []


def test_versions_come_oldest_first_with_their_tags(model: Model) -> None:
    model.add(11)
    versions = model.registry.versions()
    assert [found.version for found in versions] == [str(number) for number in range(1, 12)]
    assert versions[10].tags[BUNDLE_HASH] == "hash-10"
    assert versions[10].name == model.name


def test_a_version_is_found_by_the_hash_of_its_bundle(model: Model) -> None:
    model.add(3)
    found = model.registry.find("hash-1")
    assert found is not None
    assert found.version == "2"
    assert model.registry.find("hash-9") is None


def test_a_version_that_is_not_there_is_refused_with_those_that_are(model: Model) -> None:
    with pytest.raises(RegistryError, match=f"^model '{model.name}' has no version 3; .*: none$"):
        model.registry.version("3")
    model.add(2)
    with pytest.raises(RegistryError, match=f"'{model.name}' has no version 3; there are: 1, 2$"):
        model.registry.version("3")


def test_registering_a_bundle_twice_gives_one_version_that_is_the_candidate(
    model: Model, store: Store
) -> None:
    tracking, tags = Tracking(model.name, store.uri), {"git_commit": "abc"}
    first, second = (
        register_bundle(model.registry, tracking, store.bundle(seed), tags | _hash(store, seed))
        for seed in (21, 22)  # bundles that no other test has recorded
    )
    assert (first.version, second.version) == ("1", "2")
    assert model.registry.resolve(f"models:/{model.name}@{CANDIDATE}").version == "2"
    again = register_bundle(model.registry, tracking, store.bundle(21), tags | _hash(store, 21))
    assert again.version == "1"
    assert len(model.registry.versions()) == 2
    assert model.registry.resolve(f"models:/{model.name}@{CANDIDATE}").version == "1"
    assert first.tags["git_commit"] == "abc"
    assert first.tags[BUNDLE_HASH] == store.bundle(21).hash


def _hash(store: Store, seed: int) -> dict[str, str]:
    return {BUNDLE_HASH: store.bundle(seed).hash}


def test_registering_does_not_promote(model: Model, store: Store) -> None:
    tracking = Tracking(model.name, store.uri)
    register_bundle(model.registry, tracking, store.bundle(0), _hash(store, 0))
    assert model.registry.production() is None


def test_the_bundle_of_a_version_comes_back_as_it_was(
    model: Model, store: Store, tmp_path: Path
) -> None:
    tracking = Tracking(model.name, store.uri)
    version = register_bundle(model.registry, tracking, store.bundle(0), _hash(store, 0))
    folder = model.registry.download(version, tmp_path / "by-version")
    assert bundle_hash(folder) == store.bundle(0).hash
    assert version.run_id is not None
    by_run = model.registry.resolve(f"runs:/{version.run_id}/model")
    folder = model.registry.download(by_run, tmp_path / "by-run")
    assert bundle_hash(folder) == store.bundle(0).hash


def test_a_run_that_is_not_there_cannot_be_downloaded(model: Model, tmp_path: Path) -> None:
    version = model.registry.resolve(f"runs:/{'0' * 32}/model")
    message = f"^the registry at {model.registry.uri} answered: Run with id=0+ not found$"
    with pytest.raises(RegistryError, match=message) as refused:
        model.registry.download(version, tmp_path)
    assert not isinstance(refused.value, RegistryUnreachable)


def test_a_path_that_a_run_does_not_hold_is_no_fault_of_the_connection(
    model: Model, store: Store, tmp_path: Path
) -> None:
    tracking = Tracking(model.name, store.uri)
    logged = register_bundle(model.registry, tracking, store.bundle(0), _hash(store, 0))
    version = model.registry.resolve(f"runs:/{logged.run_id}/other")
    with pytest.raises(RegistryError, match=r"answered: .*'other'") as refused:
        model.registry.download(version, tmp_path)
    assert not isinstance(refused.value, RegistryUnreachable)


def test_a_model_of_another_project_holds_no_bundle(
    model: Model, store: Store, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "MLmodel").write_text("flavors: {}")
    model.client.create_registered_model(model.name)
    model.client.create_model_version(model.name, str(other))
    with pytest.raises(RegistryError, match=f"^version 1 of '{model.name}' holds no bundle"):
        model.registry.download(model.registry.version("1"), tmp_path / "fetched")


def test_a_version_whose_files_are_gone_is_a_registry_error(model: Model, tmp_path: Path) -> None:
    (version,) = model.add()
    message = f"^version 1 of '{model.name}' has no files any more; they were at /nowhere/0$"
    with pytest.raises(RegistryError, match=message):
        model.registry.download(version, tmp_path)


def test_a_registry_that_does_not_answer_is_reported_and_its_password_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://operator:hunter2@127.0.0.1:{closed_port()}"
    registry = Registry(uri)
    for ask in (registry.production, registry.versions, lambda: registry.find("abc")):
        with pytest.raises(RegistryUnreachable) as failed:
            ask()
        message = str(failed.value)
        assert message.startswith("the registry at http://operator:***@127.0.0.1:")
        assert "hunter2" not in message
        assert "\n" not in message


def test_a_store_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RegistryUnreachable, match=r"^the registry at sqlite:////.* failed: "):
        Registry(f"sqlite:///{tmp_path}/file/mlflow.db").production()


def test_a_dead_registry_is_given_up_on_after_few_retries_unless_the_user_says_otherwise(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    Registry(model.registry.uri).versions()
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 2
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@host:5000/x", "http://user:***@host:5000/x"),
        ("postgresql+psycopg2://u:a/b@host/db", "postgresql+psycopg2://u:***@host/db"),
        ("https://u:p@ss@host", "https://u:***@host"),
        ("https://:secret@host", "https://:***@host"),
        ("https://token@host/x", "https://***@host/x"),
        ("call to http://u:a@h failed, then http://u:b@i", None),
        ("http://host:5000/api?alias=a@b", "http://host:5000/api?alias=a@b"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("models:/kizashi@production", "models:/kizashi@production"),
    ],
)
def test_passwords_in_uris_are_made_unreadable_and_nothing_else(
    text: str, shown: str | None
) -> None:
    expected = "call to http://u:***@h failed, then http://u:***@i" if shown is None else shown
    assert without_password(text) == expected


def test_the_registry_is_as_configured_then_mlflows_own_variable_then_a_local_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri() == "http://server:5000"
    assert tracking_uri("sqlite:///other.db") == "sqlite:///other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking_uri() == "sqlite:///mlflow.db"
