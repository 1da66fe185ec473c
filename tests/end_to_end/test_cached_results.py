"""Results that come out of DVC's cache still leave a registry with the version they speak of."""

from mlflow import MlflowClient

from kizashi.registry import Registry
from tests.end_to_end.checkout import JOURNEY, Checkout

pytestmark = JOURNEY


def test_without_its_registry_repro_trains_nothing_and_promotes_version_1_again(
    trained: Checkout, without_registry: Checkout
) -> None:
    printed = without_registry.python("-m", "dvc", "repro")
    assert "Running stage 'register'" in printed
    assert "Running stage 'train'" not in printed
    assert "version 1 is promoted to production" in printed
    registry = Registry(without_registry.tracking_uri)
    restored, original = registry.production(), Registry(trained.tracking_uri).version("1")
    assert restored is not None and restored.version == "1"
    for lineage in ("bundle_hash", "git_commit", "data_hash", "data_dvc_md5"):
        assert restored.tags[lineage] == original.tags[lineage], lineage
    assert restored.run_id is not None
    run = MlflowClient(registry.uri, registry.uri).get_run(restored.run_id)
    assert run.data.tags["restored"] == "true"
