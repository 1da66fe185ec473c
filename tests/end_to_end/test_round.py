"""The round of a data scientist: train, serve, new rows, compare, promote, roll back."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from mlflow import MlflowClient

from bench.ports import reserved
from kizashi.registry import CANDIDATE, PRODUCTION, Registry
from tests.end_to_end.checkout import JOURNEY, Checkout
from tests.end_to_end.service import PROMISED_SECONDS, Service, service, traffic

pytestmark = JOURNEY
NEW_ROWS = 2000


@pytest.fixture(scope="module")
def registry(trained: Checkout) -> Registry:
    return Registry(trained.tracking_uri)


@pytest.fixture(scope="module")
def running(trained: Checkout) -> Iterator[Service]:
    """The service in the clone, with version 1."""
    with reserved() as port:
        settings = trained.environment | {"KIZASHI_PORT": str(port)}
        command = ("python", "-m", "serving")
        with service(command, trained.folder, settings, port, "/health/ready") as running:
            yield running
    assert "Traceback" not in running.log


@pytest.fixture(scope="module")
def second_repro(trained: Checkout) -> str:
    """What `dvc repro` prints after new rows were appended and added."""
    with (trained.folder / "data" / "data.csv").open("r+", newline="") as file:
        rows = list(csv.reader(file))
        last = datetime.fromisoformat(rows[-1][0])
        # The days go on as the first ones were.
        again = rows[1 : 1 + NEW_ROWS]
        times = [last + timedelta(seconds=30 * step) for step in range(1, NEW_ROWS + 1)]
        for time, row in zip(times, again, strict=True):
            file.write(",".join([time.strftime("%Y-%m-%dT%H:%M:%SZ"), *row[1:]]) + "\n")
    trained.python("-m", "dvc", "add", "data")
    return trained.python("-m", "dvc", "repro")


def test_the_clone_runs_its_own_code(fresh: Checkout) -> None:
    found = fresh.python("-c", "import kizashi, pipelines; print(kizashi.__file__)")
    assert found.strip() == str(fresh.folder / "src" / "kizashi" / "__init__.py")


def test_the_first_repro_registers_version_1_and_promotes_it(
    first_repro: str, registry: Registry
) -> None:
    assert re.search(r"version 1 of 'kizashi' holds bundle [0-9a-f]{12}\n", first_repro)
    assert "it is the first: version 1 is promoted to production" in first_repro
    assert registry.version("1").run_id
    assert {"git_commit", "data_hash", "data_dvc_md5", "bundle_hash"} <= set(
        registry.version("1").tags
    )


def test_the_service_answers_the_examples(running: Service) -> None:
    normal = running.post("/anomaly", {"values": [1.2, 0.9, 1.1]}).content
    assert set(normal) == {"score", "status"} and isinstance(normal["score"], float)
    assert normal["status"] == "normal"
    assert running.post("/anomaly", {"values": [1, 2, 3]}).content["status"] == "anomaly"


def test_an_unchanged_repro_trains_nothing_and_registers_nothing(
    trained: Checkout, registry: Registry
) -> None:
    before = registry.versions()
    printed = trained.python("-m", "dvc", "repro")
    for stage in ("validate", "split", "train"):
        assert f"Stage '{stage}' didn't change, skipping" in printed
    assert registry.versions() == before


def test_new_rows_make_a_candidate_that_waits_beside_its_comparison(
    second_repro: str, registry: Registry
) -> None:
    assert "version 2 (candidate)" in second_repro and "version 1 (production)" in second_repro
    assert "promote it with: python -m pipelines.promote version=2" in second_repro
    assert registry.resolve(f"models:/kizashi@{CANDIDATE}").version == "2"
    first, second = registry.version("1"), registry.version("2")
    assert first.tags["data_dvc_md5"] != second.tags["data_dvc_md5"]
    # New data alone is no change of the code.
    assert first.tags["git_dirty"] == second.tags["git_dirty"] == "false"
    assert first.tags["git_commit"] == second.tags["git_commit"]


@pytest.mark.usefixtures("second_repro")
def test_the_service_follows_a_promotion_and_a_rollback_and_loses_no_request(
    trained: Checkout, registry: Registry, running: Service
) -> None:
    assert running.version() == "1"
    with traffic(running) as answered:
        printed = trained.python("-m", "pipelines.promote", "version=2")
        running.wait(lambda: answered[-1:] == ["2"], PROMISED_SECONDS)
        assert "version 2 of 'kizashi' is in production; it replaces version 1" in printed
        printed = trained.python("-m", "pipelines.rollback")
        running.wait(lambda: answered[-1:] == ["1"], PROMISED_SECONDS)
        assert "version 1 of 'kizashi' is in production again; version 2 is out" in printed
    changes = [new for old, new in pairwise(answered) if old != new]
    assert changes == ["2", "1"]
    production = registry.production()
    assert production is not None and production.version == "1"


@pytest.mark.usefixtures("second_repro")
def test_the_service_follows_an_alias_and_without_one_the_legacy_stage(
    registry: Registry, running: Service
) -> None:
    client = MlflowClient(registry.uri, registry.uri)
    client.set_registered_model_alias("kizashi", PRODUCTION, "2")
    running.wait(lambda: running.version() == "2", PROMISED_SECONDS)
    with pytest.warns(FutureWarning, match="stages"):
        client.transition_model_version_stage("kizashi", "1", "Production")
    client.delete_registered_model_alias("kizashi", PRODUCTION)
    running.wait(lambda: running.version() == "1", PROMISED_SECONDS)
    client.set_registered_model_alias("kizashi", PRODUCTION, "1")
