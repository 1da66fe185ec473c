"""`mlflow run`: the stages as MLflow's entry points."""

import pandas as pd
import pytest

from kizashi.registry import Registry
from kizashi.runtime.bundle import load_bundle
from tests.end_to_end.checkout import JOURNEY, Checkout

pytestmark = JOURNEY
MLFLOW_RUN = ("mlflow", "run", ".", "--env-manager", "local")


@pytest.fixture(scope="module")
def checkout(without_registry: Checkout) -> Checkout:
    """With the first stages' results, and without a run of `train` in its registry."""
    without_registry.python("-m", "dvc", "checkout", "artifacts/validated", "artifacts/split")
    return without_registry


def test_the_train_entry_point_makes_one_run_with_its_parameter(checkout: Checkout) -> None:
    before = checkout.runs()
    checkout.run(*MLFLOW_RUN, "-e", "train", "-P", "model=dense")
    new = [run for key, run in checkout.runs().items() if key not in before]
    assert [run.info.status for run in new] == ["FINISHED"]
    assert new[0].data.params["model._target_"].endswith(".DenseAutoencoder")
    assert new[0].data.tags["bundle_hash"]
    assert new[0].outputs is not None and new[0].outputs.model_outputs


def test_the_main_entry_point_is_the_whole_pipeline(trained: Checkout, checkout: Checkout) -> None:
    printed = checkout.run(*MLFLOW_RUN)
    assert "Running stage 'register'" in printed
    bundle = load_bundle(checkout.folder / "artifacts" / "bundle")
    # A trial has left another bundle there: the pipeline puts its own back.
    assert bundle.hash == Registry(trained.tracking_uri).version("1").tags["bundle_hash"]
    production = Registry(checkout.tracking_uri).production()
    assert production is not None and production.tags["bundle_hash"] == bundle.hash


def test_fit_makes_a_bundle_of_a_file_and_score_judges_another_with_it(checkout: Checkout) -> None:
    output = checkout.folder / "scores.parquet"
    fitted = ("-P", "data=data/data.csv", "-P", "output=model/", "-P", "threshold=quantile")
    checkout.run(*MLFLOW_RUN, "-e", "fit", *fitted)
    assert load_bundle(checkout.folder / "model").detector.threshold.kind == "quantile"
    scored = ("-P", "input=data/labelled.csv", "-P", f"output={output}", "-P", "model=model/")
    checkout.run(*MLFLOW_RUN, "-e", "score", *scored)
    rows, verdicts = pd.read_csv(checkout.folder / "data" / "labelled.csv"), pd.read_parquet(output)
    assert len(verdicts) == len(rows)
    anomalous = verdicts["status"] == "anomaly"
    assert anomalous[rows["label"] == 1].mean() > 2 * anomalous[rows["label"] == 0].mean()
