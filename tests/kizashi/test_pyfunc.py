import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from kizashi.errors import BundleError, DataError, InvalidRow
from kizashi.pyfunc import DetectorModel, _load_pyfunc
from kizashi.registry import PRODUCTION, Registry
from kizashi.runtime.bundle import Bundle
from kizashi.tracking import Tracking, lineage, register_bundle
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle, press_line_rows
from tests.filling import filling_bundle
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS, Store

pytestmark = MLFLOWS_OWN_WARNINGS
NAMES = ["vibration", "current", "sound"]


@pytest.fixture(scope="module")
def bundle(store: Store) -> Bundle:
    return store.bundle(7)  # other tests have run with other bundles, and other tags


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> DetectorModel:
    bundle = press_line_bundle(tmp_path_factory.mktemp("windowed"), window_length=4)
    return DetectorModel(bundle.detector)


@pytest.fixture(scope="module")
def served(store: Store, bundle: Bundle) -> Registry:
    """A registry whose production version is the bundle."""
    registry = store.registry("served")
    tags = lineage(bundle, {"source": "data/data.csv", "sha256": "0" * 64})
    version = register_bundle(registry, Tracking("served", store.uri), bundle, tags)
    registry.promote(version)
    mlflow.set_tracking_uri(store.uri)
    return registry


def judged(bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    verdicts = bundle.detector.judge(rows[NAMES].to_numpy()[:, None, :])
    statuses = np.where(verdicts.anomaly_B, "anomaly", "normal")
    return pd.DataFrame({"score": verdicts.score_B, "status": statuses})


def rows_with_anomalies() -> pd.DataFrame:
    rows_NF = np.concatenate([press_line_rows(50, seed=3), [ANOMALOUS_ROW, [99.0, 1.0, 1.0]]])
    return pd.DataFrame(rows_NF, columns=NAMES)


def test_the_production_model_predicts_what_the_detector_says(
    served: Registry, bundle: Bundle
) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{served.name}@{PRODUCTION}")
    predicted, rows = model.predict(rows_with_anomalies()), rows_with_anomalies()
    expected = judged(bundle, rows)
    np.testing.assert_allclose(predicted["score"], expected["score"], rtol=1e-12)
    assert predicted["status"].tolist() == expected["status"].tolist()
    assert predicted["status"].tolist()[-2:] == ["anomaly", "anomaly"]


def test_the_logged_model_has_a_signature_and_an_example_and_no_pickle(
    served: Registry, tmp_path: Path
) -> None:
    uri = f"models:/{served.name}@{PRODUCTION}"
    info = mlflow.models.get_model_info(uri)
    assert info.signature is not None
    assert info.signature.inputs.input_names() == NAMES
    assert info.signature.outputs.input_names() == ["score", "status"]
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert (folder / "input_example.json") in files
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".pt"}]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]
    requirements = (folder / "requirements.txt").read_text()
    assert "torch" not in requirements
    assert "onnxruntime==" in requirements


def test_a_version_leads_back_to_run_data_and_bundle(served: Registry, bundle: Bundle) -> None:
    present = served.production()
    assert present is not None
    assert present.tags["bundle_hash"] == bundle.hash
    assert present.tags["data_source"] == "data/data.csv"
    assert present.tags["data_hash"] == "0" * 64
    assert present.tags["run_id"] == present.run_id


def test_columns_are_matched_by_name_and_others_ignored(bundle: Bundle) -> None:
    rows = rows_with_anomalies()
    shuffled = rows[["sound", "vibration", "current"]].assign(shift="night")
    model = DetectorModel(bundle.detector)
    pd.testing.assert_frame_equal(model.predict(shuffled), model.predict(rows))


@pytest.mark.parametrize(
    "rows", [[NORMAL_ROW, ANOMALOUS_ROW], np.array([NORMAL_ROW, ANOMALOUS_ROW])]
)
def test_rows_without_names_are_in_the_contracts_order(bundle: Bundle, rows: object) -> None:
    predicted = DetectorModel(bundle.detector).predict(rows)  # type: ignore[arg-type]
    assert predicted["status"].tolist() == ["normal", "anomaly"]


def test_one_row_may_come_alone(bundle: Bundle) -> None:
    assert DetectorModel(bundle.detector).predict(NORMAL_ROW)["status"].tolist() == ["normal"]


def test_no_rows_have_no_verdicts(bundle: Bundle) -> None:
    predicted = DetectorModel(bundle.detector).predict(pd.DataFrame(columns=NAMES))
    assert predicted.columns.tolist() == ["score", "status"]
    assert len(predicted) == 0


def test_rows_before_the_first_whole_window_have_no_verdict(windowed: DetectorModel) -> None:
    rows_NF = press_line_rows(10, seed=3)
    predicted = windowed.predict(rows_NF)
    assert len(predicted) == 10
    assert predicted["score"].isna().tolist() == [True] * 3 + [False] * 7
    assert predicted["status"].isna().tolist() == [True] * 3 + [False] * 7
    expected = windowed.detector.score(windowed.detector.windows(rows_NF))
    np.testing.assert_array_equal(predicted["score"][3:], expected)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_rows_than_a_window_have_no_verdicts(windowed: DetectorModel, count: int) -> None:
    predicted = windowed.predict(pd.DataFrame(press_line_rows(count), columns=NAMES))
    assert predicted.columns.tolist() == ["score", "status"]
    assert predicted["score"].isna().tolist() == [True] * count
    assert predicted["status"].isna().tolist() == [True] * count


@pytest.mark.parametrize(
    "cells", [[Decimal("1.2"), 1, np.float32(1.1)], np.array([2, 1, 1], dtype=object)]
)
def test_any_kind_of_number_is_taken(bundle: Bundle, cells: Any) -> None:
    rows = pd.DataFrame([cells], columns=NAMES, dtype=object)
    predicted = DetectorModel(bundle.detector).predict(rows)
    expected = DetectorModel(bundle.detector).predict(rows.astype(float))
    pd.testing.assert_frame_equal(predicted, expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            pd.DataFrame({"vibration": [1.0], "sound": [1.0]}),
            "sensor 'current' is missing; columns needed: vibration, current, sound",
        ),
        (
            pd.DataFrame([[1.0, "n/a", 1.0]], columns=NAMES),
            "row 0: sensor 'current' is 'n/a'; a finite number is needed",
        ),
        (
            pd.DataFrame([[1.0, 1.0, 1.0], [1.0, "1.5", 1.0]], columns=NAMES),
            "row 1: sensor 'current' is '1.5'; a finite number is needed",
        ),
        (
            [[1.0, "1.5", 1.0]],
            "row 0: sensor 'vibration' is '1.0'; a finite number is needed",
        ),
        (
            pd.DataFrame([[1.0, 1.0, True]], columns=NAMES),
            "row 0: sensor 'sound' is true; a finite number is needed",
        ),
        (
            pd.DataFrame([[1.0, None, 1.0]], columns=NAMES, dtype=object),
            "row 0: sensor 'current' is NaN; a finite number is needed",
        ),
        (
            pd.DataFrame([[1.0, 1.0, 1.0], [1.0, np.nan, 1.0]], columns=NAMES),
            "row 1: sensor 'current' is NaN; a finite number is needed",
        ),
        (
            np.array([[1.0, 1.0, np.inf]]),
            "row 0: sensor 'sound' is Infinity; a finite number",
        ),
        ([[1.0, 2.0]], "2 values came; 3 values (vibration, current, sound) needed"),
        (np.ones((2, 1, 3)), "an array with 3 axes came; rows of 3 values are needed"),
    ],
)
def test_rows_that_cannot_be_judged_are_refused(bundle: Bundle, rows: object, message: str) -> None:
    with pytest.raises(DataError) as refused:
        DetectorModel(bundle.detector).predict(rows)  # type: ignore[arg-type]
    assert str(refused.value).startswith(message)


def test_a_bundle_altered_after_logging_is_not_loaded(bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))
    with (folder / "network.onnx").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=r"network\.onnx is not the file that was saved"):
        _load_pyfunc(str(folder))


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return filling_bundle(tmp_path_factory.mktemp("filling"))


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA])
def test_a_missing_value_is_filled_in(filling: Bundle, empty: Any) -> None:
    rows = pd.DataFrame([NORMAL_ROW, [1.0, empty, 3.0]], columns=NAMES)
    predicted = DetectorModel(filling.detector).predict(rows)
    expected = filling.detector.score(np.array([[[1.0, np.nan, 3.0]]]))[0]
    assert predicted["status"].tolist() == ["normal", "anomaly"]
    assert predicted.loc[1, "score"] == pytest.approx(expected, rel=1e-5)


def test_too_many_missing_values_are_refused(filling: Bundle) -> None:
    with pytest.raises(InvalidRow, match="row 0: 2 of 3 values are missing; at most 1 may be"):
        DetectorModel(filling.detector).predict(np.array([[np.nan, np.nan, 1.1]]))


def test_the_logged_model_takes_missing_values_through_its_signature(
    store: Store, filling: Bundle
) -> None:
    registry = store.registry("filling")
    tags = lineage(filling, {"source": "data/data.csv", "sha256": "0" * 64})
    version = register_bundle(registry, Tracking("filling", store.uri), filling, tags)
    mlflow.set_tracking_uri(store.uri)
    model = mlflow.pyfunc.load_model(f"models:/{registry.name}/{version.version}")
    rows = pd.DataFrame([[1.0, np.nan, 3.0], NORMAL_ROW], columns=NAMES)
    assert model.predict(rows)["status"].tolist() == ["anomaly", "normal"]
