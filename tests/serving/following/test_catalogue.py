"""What the follower tells the pages of the versions in a registry."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from kizashi.registry import Registry
from serving.following import catalogue
from serving.following.cache import Cache
from serving.following.catalogue import Catalogue, pages_of
from serving.following.follower import follow
from serving.settings import Settings
from tests.bundles import press_line_bundle

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated",  # MLflow's own queries
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Three versions, the first of which serves; the third has a run."""
    folder = tmp_path_factory.mktemp("store")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    client = MlflowClient(registry.uri, registry.uri)
    run = client.create_run(client.create_experiment("presses", str(folder / "runs")))
    client.log_metric(run.info.run_id, "labelled.recall", 0.9)
    client.log_metric(run.info.run_id, "labelled.faults.wear.recall", 0.8)
    client.log_metric(run.info.run_id, "train_loss", float("nan"))
    client.create_registered_model("kizashi")
    for seed in range(3):
        bundle = press_line_bundle(folder / f"bundle-{seed}", seed=seed)
        run_id = run.info.run_id if seed == 2 else ("gone" if seed == 1 else None)
        tags = {"bundle_hash": bundle.hash}
        client.create_model_version("kizashi", str(bundle.folder), run_id, tags=tags)
    registry.promote(registry.version("1"))
    client.set_registered_model_alias("kizashi", "candidate", "3")
    return registry


def test_versions_come_newest_first_with_aliases_and_the_metrics_of_their_runs(
    registry: Registry,
) -> None:
    found = Catalogue(registry.uri, "kizashi").look("1")
    assert found is not None and found.more == 0
    newest, middle, oldest = found.versions
    assert [one.version for one in found.versions] == ["3", "2", "1"]
    assert (newest.aliases, middle.aliases, oldest.aliases) == (["candidate"], [], ["production"])
    assert newest.metrics == {"labelled.recall": 0.9}  # single faults, and what is no number, stay
    assert middle.metrics == {} and middle.run_id == "gone"  # its run was deleted
    assert newest.created.endswith("Z") and newest.page == ""


def test_it_asks_again_only_after_a_while_or_when_another_version_serves(
    registry: Registry,
) -> None:
    looking = Catalogue(registry.uri, "kizashi")
    assert looking.look("1") is not None
    assert looking.look("1") is None
    assert looking.look("3") is not None


def test_of_very_many_versions_the_newest_and_those_with_an_alias_are_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MOST_VERSIONS", 1)
    found = Catalogue(registry.uri, "kizashi").look("1")
    assert found is not None
    assert ([one.version for one in found.versions], found.more) == (["3", "1"], 1)


def test_the_follower_leaves_them_where_the_pages_look(registry: Registry, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", tracking_uri=registry.uri)
    follow(settings).check()
    found = Cache(settings.cache, settings.key).versions()
    assert found is not None and found.name == "kizashi" and len(found.versions) == 3


@pytest.mark.parametrize(
    ("uri", "pages"),
    [
        ("sqlite:///mlflow.db", ""),
        ("file:///mlruns", ""),
        ("databricks", ""),
        ("http://mlflow.example:5000/", "http://mlflow.example:5000"),
        ("https://user:secret@mlflow.example/below/", "https://mlflow.example/below"),
    ],
)
def test_only_a_server_has_pages_and_no_password_is_shown(uri: str, pages: str) -> None:
    assert pages_of(uri) == pages
