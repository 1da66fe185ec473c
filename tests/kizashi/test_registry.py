import os
import socket
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient

from kizashi.errors import RegistryError, RegistryUnreachable
from kizashi.registry import (
    BUNDLE_HASH,
    CANDIDATE,
    PRODUCTION,
    PROMOTED_AT,
    ModelVersion,
    Registry,
    tracking_uri,
    without_password,
)
from kizashi.runtime.bundle import bundle_hash
from kizashi.tracking import Tracking, register_bundle
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS, Store

pytestmark = MLFLOWS_OWN_WARNINGS


class Model(NamedTuple):
    """A registered model of its own name, as a test and as the MLflow page see it."""

    registry: Registry
    client: MlflowClient

    @property
    def name(self) -> str:
        return self.registry.name

    def add(self, count: int = 1) -> list[ModelVersion]:
        """Register bundle folders as versions, without the cost of a run for each."""
        first = len(self.registry.versions())
        if not first:
            self.client.create_registered_model(self.name)
        for number in range(first, first + count):
            tags = {BUNDLE_HASH: f"hash-{number}"}
            self.client.create_model_version(self.name, f"/nowhere/{number}", tags=tags)
        return self.registry.versions()[first:]

    def point(self, alias: str, version: str) -> None:
        """Move an alias as the MLflow page does."""
        self.client.set_registered_model_alias(self.name, alias, version)

    def stage(self, version: str, stage: str) -> None:
        """Move a version to a legacy stage as the MLflow page does."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.client.transition_model_version_stage(self.name, version, stage)

    def promote(self, *versions: str) -> None:
        for version in versions:
            self.registry.promote(self.registry.version(version))

    def roll_back(self) -> str:
        """As `pipelines.rollback` does; the version that serves now."""
        self.registry.roll_back(self.registry.previous_production())
        return self.serving()

    def serving(self) -> str:
        present = self.registry.production()
        assert present is not None
        return present.version


@pytest.fixture
def model(store: Store, request: pytest.FixtureRequest) -> Model:
    return Model(store.registry(request.node.name[:100]), MlflowClient(store.uri, store.uri))


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


def test_production_is_the_alias(model: Model) -> None:
    model.add(2)
    model.point(PRODUCTION, "2")
    present = model.registry.production()
    assert present is not None
    assert present.version == "2"


def test_without_the_alias_production_is_the_newest_version_in_the_legacy_stage(
    model: Model,
) -> None:
    model.add(3)
    model.stage("1", "Production")
    model.stage("2", "Production")
    model.stage("3", "Staging")
    present = model.registry.production()
    assert present is not None
    assert present.version == "2"
    model.stage("2", "Archived")
    assert model.serving() == "1"
    model.stage("1", "Archived")
    assert model.registry.production() is None


def test_the_alias_comes_before_the_stage_and_a_note_says_when_they_disagree(
    model: Model,
) -> None:
    model.add(2)
    model.stage("2", "Production")
    assert model.registry.notes() == []
    model.point(PRODUCTION, "1")
    assert model.serving() == "1"
    (note,) = model.registry.notes()
    assert note == (
        "version 2 is in the stage Production, but the alias 'production' is at version 1: "
        "the alias decides"
    )
    model.point(PRODUCTION, "2")
    assert model.registry.notes() == []


def test_rollbacks_go_back_one_promotion_at_a_time_and_stop_at_the_first(model: Model) -> None:
    model.add(3)
    model.promote("1", "2", "3")
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"
    with pytest.raises(RegistryError, match=r"^version 1 of .* is the first that was promoted"):
        model.registry.previous_production()


def test_rollbacks_do_not_go_to_and_fro_over_a_version_that_was_promoted_twice(
    model: Model,
) -> None:
    model.add(2)
    model.promote("1", "2", "1")
    assert model.registry.promotions() == ["1", "2", "1"]
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"
    with pytest.raises(RegistryError, match=r"^version 1 of .* is the first that was promoted"):
        model.registry.previous_production()


def test_a_rollback_passes_over_a_version_that_was_deleted(model: Model) -> None:
    model.add(3)
    model.promote("1", "2", "3")
    model.client.delete_model_version(model.name, "2")
    assert model.roll_back() == "1"


def test_when_a_version_was_promoted_is_kept_with_it(model: Model) -> None:
    model.add(2)
    model.promote("1")
    assert int(model.registry.version("1").tags[PROMOTED_AT]) > 0
    assert PROMOTED_AT not in model.registry.version("2").tags


def test_a_promotion_after_a_rollback_rolls_back_to_what_it_replaced(model: Model) -> None:
    model.add(3)
    model.promote("1", "2")
    assert model.roll_back() == "1"
    model.promote("3")
    assert model.roll_back() == "1"


def test_a_version_can_be_promoted_again_after_it_was_rolled_back(model: Model) -> None:
    model.add(2)
    model.promote("1", "2")
    model.roll_back()
    assert model.registry.promotions() == ["1"]
    model.promote("2")
    assert model.registry.promotions() == ["1", "2"]
    assert model.serving() == "2"
    assert model.roll_back() == "1"


def test_promoting_the_production_version_again_keeps_what_it_replaced(model: Model) -> None:
    model.add(2)
    model.promote("1", "2", "2")
    assert model.roll_back() == "1"


def test_a_promotion_over_a_legacy_stage_remembers_it(model: Model) -> None:
    model.add(2)
    model.stage("1", "Production")
    model.promote("2")
    assert model.roll_back() == "1"


def test_after_a_promotion_in_the_mlflow_page_the_previous_version_is_the_last_promoted(
    model: Model,
) -> None:
    model.add(3)
    model.promote("1", "2")  # within the same second, as a script may
    model.point(PRODUCTION, "3")
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"


def test_no_rollback_returns_to_a_version_that_a_rollback_left(model: Model) -> None:
    model.add(3)
    model.promote("1", "2")
    model.roll_back()  # 2 was no good
    model.point(PRODUCTION, "3")
    assert model.roll_back() == "1"


def test_a_rollback_to_a_version_of_the_mlflow_page_goes_on_to_the_one_before(
    model: Model,
) -> None:
    model.add(3)
    model.promote("1")
    model.point(PRODUCTION, "2")
    model.promote("3")
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"


def test_there_is_nothing_to_roll_back_from_without_production(model: Model) -> None:
    model.add()
    message = f"^model '{model.name}' has no production version to roll back from$"
    with pytest.raises(RegistryError, match=message):
        model.registry.previous_production()


def test_the_first_production_version_has_no_previous_one_wherever_it_was_promoted(
    model: Model,
) -> None:
    model.add()
    model.point(PRODUCTION, "1")
    with pytest.raises(RegistryError, match=r"^version 1 of .* is the first that was promoted"):
        model.registry.previous_production()


def test_every_form_of_uri_means_its_version(model: Model) -> None:
    model.add(4)
    model.point(PRODUCTION, "1")
    model.point("shadow", "2")
    model.stage("3", "Staging")
    uris = {
        f"models:/{model.name}": "1",
        f"models:/{model.name}@{PRODUCTION}": "1",
        f"models:/{model.name}@shadow": "2",
        f"models:/{model.name}/Staging": "3",
        f"models:/{model.name}/staging": "3",
        f"models:/{model.name}/3": "3",
        f"models:/{model.name}/latest": "4",
    }
    # The model is the URI's, whatever model the registry was made for.
    registry = Registry(model.registry.uri, "another")
    for uri, expected in uris.items():
        found = registry.resolve(uri)
        assert found.version == expected, uri
        assert found.name == model.name


def test_a_name_alone_falls_back_to_the_legacy_stage(model: Model) -> None:
    model.add(2)
    model.stage("2", "Production")
    assert model.registry.resolve(f"models:/{model.name}").version == "2"


def test_a_run_uri_means_the_run_and_its_path(model: Model) -> None:
    found = model.registry.resolve("runs:/0123456789abcdef/model")
    assert found.run_id == "0123456789abcdef"
    assert found.version == "run 01234567"
    assert found.source == "runs:/0123456789abcdef/model"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/{}", "has no production version; promote one with: python -m pipelines.promote"),
        ("models:/{}@shadow", "has no alias 'shadow'"),
        ("models:/{}/Archived", "has no version in stage 'Archived'"),
        ("models:/{}/latest", "has no version in stage 'latest'"),
        ("models:/{}/7", "has no version 7; there are: none"),
    ],
)
def test_a_uri_that_means_no_version_says_what_is_missing(
    model: Model, uri: str, message: str
) -> None:
    with pytest.raises(RegistryError) as refused:
        model.registry.resolve(uri.format("absent"))
    assert str(refused.value).startswith("model 'absent' ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "uri", ["kizashi", "models:/", "models:/a/b/c", "models:/a@b/c", "s3://bucket/model", ""]
)
def test_a_uri_of_no_known_form_is_refused_with_those_that_are_known(uri: str) -> None:
    with pytest.raises(RegistryError, match=r"models:/NAME, .* or a bundle folder is needed$"):
        Registry("sqlite:///never-opened.db").resolve(uri)


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
