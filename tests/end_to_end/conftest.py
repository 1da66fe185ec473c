"""One clone and one training for every journey that begins with them."""

import shutil

import pytest

from tests.end_to_end.checkout import Checkout, clone


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone with the sample fetched; its committed default is a training of a few epochs."""
    checkout = clone(tmp_path_factory.mktemp("round") / "kizashi")
    config = checkout.folder / "conf" / "config.yaml"
    default, fast = "  - trainer: auto\n", "  - trainer: fast\n"
    assert default in config.read_text()
    config.write_text(config.read_text().replace(default, fast))
    checkout.commit("Train quickly")
    checkout.python("-m", "dvc", "pull", "-r", "sample", "data.dvc")
    return checkout


@pytest.fixture(scope="session")
def first_repro(fresh: Checkout) -> str:
    """What the first `dvc repro` prints."""
    return fresh.python("-m", "dvc", "repro")


@pytest.fixture(scope="session")
def trained(fresh: Checkout, first_repro: str) -> Checkout:
    """The clone after its first `dvc repro`: version 1 is in production."""
    assert "version 1 is promoted to production" in first_repro
    return fresh


@pytest.fixture(scope="session")
def without_registry(trained: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The same checkout in another place, with DVC's cache but without results and registry."""
    folder = tmp_path_factory.mktemp("restored") / "kizashi"
    gone = shutil.ignore_patterns("mlflow.db*", "mlruns", "artifacts", ".kizashi", "multirun")
    shutil.copytree(trained.folder, folder, ignore=gone)
    return Checkout(folder)
