"""`mlflow run`: the stages as MLflow's entry points."""

from tests.end_to_end.checkout import JOURNEY, Checkout

pytestmark = JOURNEY


def test_the_train_entry_point_makes_one_run_with_its_parameter(
    without_registry: Checkout,
) -> None:
    without_registry.python("-m", "dvc", "checkout", "artifacts/validated", "artifacts/split")
    before = without_registry.runs()
    without_registry.run(
        *("mlflow", "run", ".", "-e", "train", "--env-manager", "local"),
        *("-P", "latent=4", "-P", "trainer=fast"),
    )
    new = [run for key, run in without_registry.runs().items() if key not in before]
    assert len(new) == 1
    assert new[0].info.status == "FINISHED"
    assert new[0].data.params["model.latent"] == "4"
    assert new[0].data.tags["bundle_hash"]
    assert new[0].outputs is not None and new[0].outputs.model_outputs
