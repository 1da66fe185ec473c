"""Precision and recall on the labelled rows of the evaluation, as a version's tag tells them."""

import json
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from kizashi.data.labelled import LabelledRows
from kizashi.evaluation.labelled_scores import LABELLED_SCORES, labelled_scores
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.windows import Rows
from serving.following.cache import Cache
from serving.settings import Settings
from serving.threshold.evaluated import TAG, evaluated
from tests.bundles import press_line_rows
from tests.serving.conftest import MakeClient

TOLD = {
    "faulty_rows": 10,
    "normal_rows": 100,
    "score": [0.0, 1.0, 2.0, 4.0],
    "faulty": [10, 10, 8, 0],
    "normal": [100, 20, 2, 0],
}


def tags(**changed: object) -> dict[str, str]:
    return {TAG: json.dumps(TOLD | changed)}


def test_the_tag_is_the_one_that_training_leaves() -> None:
    assert TAG == LABELLED_SCORES


def test_counts_stand_at_the_scores_that_were_left_and_lie_between_elsewhere() -> None:
    found = evaluated(tags(), 2.0)
    assert found is not None and found.exact
    assert (found.precision, found.recall) == (0.8, 0.8)
    between = evaluated(tags(), 3.0)
    assert between is not None and not between.exact
    assert (between.faulty_found, between.normal_found) == (4, 1)


def test_beyond_every_score_nothing_is_found_and_precision_is_not_told() -> None:
    found = evaluated(tags(), 50.0)
    assert found is not None and (found.precision, found.recall) == (None, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {TAG: ""},
        {TAG: "[1, 2"},
        tags(score=[]),
        tags(score=[0.0, 2.0, 1.0, 4.0]),
        tags(faulty=[10, 10, 11, 0]),
        tags(normal=[101, 20, 2, 0]),
        tags(normal=[100, 20, 2, -1]),
        tags(faulty=[10, 10, 8]),
        tags(score=["a", "b", "c", "d"]),
    ],
)
def test_a_tag_that_no_run_left_tells_nothing(wrong: dict[str, str]) -> None:
    assert evaluated(wrong, 1.0) is None


def test_a_service_tells_them_at_any_threshold_and_keeps_the_tag_to_itself(
    tmp_path: Path, press_line: Bundle, make_client: MakeClient
) -> None:
    client = labelled_client(tmp_path, press_line, make_client)
    in_force = press_line.detector.threshold.value
    told = {
        value: client.get("/api/threshold/preview", params={"value": value}).json()["evaluated"]
        for value in (1e-9, in_force, 1e9)
    }
    assert told[1e-9]["recall"] == 1.0 and told[1e-9]["precision"] == pytest.approx(200 / 1200)
    assert told[in_force]["exact"] and told[in_force]["precision"] > 0.8
    assert told[1e9]["precision"] is None and told[1e9]["recall"] == 0.0
    assert client.get("/model").json()["tags"] == {"data_hash": "d1"}


def labelled_client(tmp_path: Path, bundle: Bundle, make_client: MakeClient) -> TestClient:
    """A service that follows a registry, whose version carries its labelled scores."""
    normal_NF = press_line_rows(1000, seed=8)
    faulty_NF = np.add(press_line_rows(200, seed=9), [1.0, 0.5, 0.0])
    label_N = np.repeat([False, True], [1000, 200])
    fault_N = np.where(label_N, "wear", "")
    rows = LabelledRows(Rows(np.concatenate([normal_NF, faulty_NF])), label_N, fault_N)
    told = {TAG: labelled_scores(bundle.detector, rows), "data_hash": "d1"}
    settings = Settings(cache=tmp_path / "cache", model_uri="models:/kizashi")
    cache = Cache(settings.cache, settings.key)
    cache.create()
    cache.adopt(bundle.folder, name="kizashi", version="7", source="here", tags=told)
    return make_client(Path("models:/kizashi"), model_uri="models:/kizashi", database_url="none")
