from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from kizashi.runtime.bundle import save_bundle
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.detector import Detector
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scaling import StandardScaler
from kizashi.runtime.scoring import ReconstructionError
from kizashi.runtime.thresholds import (
    THRESHOLDS,
    AutoThreshold,
    CalibrationScores,
    ConformalThreshold,
    PotThreshold,
    QuantileThreshold,
)
from serving.following.cache import Pointer
from serving.following.detectors import Served
from serving.pages.locale import LOCALES
from serving.pages.view import lineage, threshold_words
from tests.bundles import press_line_bundle, projection_network
from tests.scores import with_labels
from tests.serving.pages.service import application

ENGLISH, JAPANESE = LOCALES["en"], LOCALES["ja"]
SCORES = np.linspace(0.0, 1.0, 2000)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    folder = tmp_path_factory.mktemp("service")
    press_line_bundle(folder / "bundle")
    app = application(folder, folder / "bundle")
    app.state.detectors.refresh()
    return TestClient(app)


def test_the_page_names_the_model_and_where_it_comes_from(client: TestClient) -> None:
    served = client.app.state.detectors.current  # type: ignore[attr-defined]
    page = client.get("/try").text
    for fact in (served.name, served.version, served.source, served.bundle.hash[:12]):
        assert fact in page


def test_the_page_shows_each_sensor_with_unit_limits_and_a_normal_value(client: TestClient) -> None:
    page = client.get("/try").text
    for text in ("vibration", "mm/s", "0 – 20 mm/s", 'value="1.2"', 'value="0.9"', 'value="1.1"'):
        assert text in page


def test_the_language_of_the_address_is_remembered(client: TestClient) -> None:
    assert 'lang="ja"' in client.get("/?lang=ja").text.split("<head>")[0]
    assert 'lang="ja"' in client.get("/").text.split("<head>")[0]
    assert 'lang="en"' in client.get("/?lang=en").text.split("<head>")[0]


def test_nothing_inline_and_nothing_foreign_is_allowed_to_run(client: TestClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_static_files_are_asked_about_again_after_an_upgrade(client: TestClient) -> None:
    answer = client.get("/static/try.js")
    assert answer.headers["Cache-Control"] == "no-cache"
    unchanged = client.get("/static/try.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert unchanged.status_code == 304


def test_files_beside_the_static_folder_are_not_served(client: TestClient) -> None:
    assert client.get("/static/..%2fsettings.py").status_code == 404
    assert client.get("/static/nothing.js").status_code == 404


@pytest.mark.parametrize("path", ["/", "/try"])
def test_without_a_model_the_page_answers_503_and_says_why(tmp_path: Path, path: str) -> None:
    client = TestClient(application(tmp_path, tmp_path / "nothing"))
    client.app.state.detectors.refresh()  # type: ignore[attr-defined]
    answer = client.get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert str(tmp_path / "nothing") in answer.text


def test_a_sensor_name_never_becomes_markup(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>"
    rows = np.random.default_rng(0).normal(0, 1, (100, 1))
    network = projection_network(np.zeros((1, 1)))
    scores = np.abs(rows[:, 0])
    detector = Detector(
        DataContract((Sensor(name, "<b>°C</b>"),)),
        StandardScaler().fit(rows),
        OnnxNetwork(network),
        ReconstructionError(),
        Calibration(scores),
        QuantileThreshold().fit(scores),
    )
    save_bundle(detector, network, rows[:1], tmp_path / "bundle")
    app = application(tmp_path, tmp_path / "bundle")
    app.state.detectors.refresh()
    page = TestClient(app).get("/try").text
    assert "alert(1)" in page
    assert name not in page
    assert "<b>°C" not in page


def test_lineage_shows_what_the_registry_knows_in_short_form(tmp_path: Path) -> None:
    bundle = press_line_bundle(tmp_path / "bundle")
    tags = {"data_hash": "d" * 40, "git_commit": "c" * 40, "git_dirty": "true", "run_id": "r" * 32}
    pointer = Pointer(
        bundle=bundle.hash, name="kizashi", version="3", source="mlflow-artifacts:/1/m", tags=tags,
        since="2026-01-31T08:00:00Z",
    )  # fmt: skip
    assert lineage(Served(bundle, pointer)) == {
        "source": "mlflow-artifacts:/1/m",
        "bundle": bundle.hash[:12],
        "data_hash": "d" * 12,
        "git_commit": "c" * 12,
        "git_dirty": "yes",
        "run_id": "r" * 32,
    }


def test_a_conformal_threshold_promises_its_rate() -> None:
    words = threshold_words(ConformalThreshold(0.001).fit(SCORES), ENGLISH)
    assert "At most 0.1 %" in words.promise
    assert "2,000" in words.promise
    assert words.warning == ""


def test_a_conformal_threshold_with_too_few_rows_promises_nothing_and_says_how_many_it_needs() -> (
    None
):
    for locale, nothing in ((ENGLISH, "None"), (JAPANESE, "保証はありません")):
        words = threshold_words(ConformalThreshold(0.0001).fit(SCORES), locale)
        assert words.promise.startswith(nothing)
        assert "9,999" in words.warning
        assert "2,000" in words.warning


def test_every_rule_is_told_in_both_languages() -> None:
    for rule in THRESHOLDS.values():
        fitted = rule().fit(with_labels(SCORES))
        english, japanese = threshold_words(fitted, ENGLISH), threshold_words(fitted, JAPANESE)
        assert fitted.guarantee not in (english.promise, japanese.promise)
        assert english.rule != japanese.rule


@pytest.mark.parametrize("kind", ["conformal", "pot", "blocks", "labelled"])
def test_every_rule_that_falls_back_is_told_in_both_languages(kind: str) -> None:
    fitted = THRESHOLDS[kind]().fit(with_labels(SCORES[:15]))
    for locale, nothing in ((ENGLISH, "None"), (JAPANESE, "保証はありません")):
        words = threshold_words(fitted, locale)
        assert words.promise.startswith(nothing)
        assert "15" in words.warning and words.warning != fitted.warning


@pytest.mark.parametrize(("kind", "alpha"), [("blocks", 0.1), ("blocks", 1e-4), ("conformal", 0.1)])
def test_a_cross_fitted_threshold_promises_nothing_and_is_told_in_both_languages(
    kind: str, alpha: float
) -> None:
    evidence = CalibrationScores(SCORES[:400], in_time=True, blocks=(50,) * 8)
    fitted = THRESHOLDS[kind](alpha).fit(evidence)  # type: ignore[call-arg]
    for locale, nothing in ((ENGLISH, "None"), (JAPANESE, "保証はありません")):
        words = threshold_words(fitted, locale)
        assert words.promise.startswith(nothing)
        assert "400" in words.promise and "8" in words.promise
        assert words.promise != fitted.guarantee
        assert bool(words.warning) is fitted.fell_back
        assert not fitted.fell_back or words.warning != fitted.warning


def test_a_doubtful_tail_is_told_in_both_languages() -> None:
    fitted = PotThreshold().fit(SCORES[:40])
    for locale in (ENGLISH, JAPANESE):
        words = threshold_words(fitted, locale)
        assert "20" in words.warning and words.warning != fitted.warning


def test_a_rule_that_chose_another_is_told_with_it() -> None:
    words = threshold_words(AutoThreshold(0.01).fit(SCORES), ENGLISH)
    assert words.rule == "Automatic: Conformal"
    assert "At most 1 %" in words.promise
