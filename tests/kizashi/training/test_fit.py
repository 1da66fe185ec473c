from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from kizashi.errors import ConfigurationError, DataError, KizashiError
from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract
from kizashi.runtime.scaling import StandardScaler
from kizashi.runtime.scoring import MahalanobisError, ReconstructionError, Scorer, StateRarity
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.export import export_onnx
from kizashi.training.fit import NormalRows, Recipe, fit_bundle
from kizashi.training.trainer import NetworkTrainer
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, PRESS_LINE, press_line_rows


def normal_rows(seed: int = 0) -> NormalRows:
    rows = Rows(press_line_rows(3000, seed))
    return NormalRows(rows[:1500], rows[1500:2000], rows[2000:])


def fitted(
    folder: Path,
    *,
    seed: int = 0,
    window_length: int = 1,
    scorer: Scorer | None = None,
    rows: NormalRows | None = None,
) -> Bundle:
    recipe = Recipe(
        network=partial(DenseAutoencoder, hidden=(16,), latent=1),
        scaler=StandardScaler(),
        scorer=scorer or ReconstructionError(),
        threshold=ConformalThreshold(0.01),
        trainer=NetworkTrainer("cpu", steps=200, batch_size=128, progress=False),
        seed=seed,
    )
    contract = DataContract(PRESS_LINE, window_length)
    return fit_bundle(recipe, contract, rows or normal_rows(), folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return fitted(tmp_path_factory.mktemp("fitted"))


def test_normal_rows_become_a_detector_that_tells_an_anomaly(bundle: Bundle) -> None:
    verdicts = bundle.detector.judge(np.array([[NORMAL_ROW], [ANOMALOUS_ROW]]))
    assert verdicts.anomaly_B.tolist() == [False, True]
    bundle.check_example()


def test_false_alarms_on_rows_of_another_day_are_near_the_rate_asked_for(bundle: Bundle) -> None:
    windows_BTF = bundle.detector.windows(press_line_rows(5000, seed=2))
    rate = bundle.detector.judge(windows_BTF).anomaly_B.mean()
    assert 0.002 < rate < 0.025


def test_the_threshold_comes_from_calibration_rows_scored_by_the_bundle(bundle: Bundle) -> None:
    detector, calibration = bundle.detector, normal_rows().calibration
    scores = detector.score(calibration.windows(1))
    assert detector.threshold.calibration_rows == 1000
    np.testing.assert_allclose(detector.calibration.scores, scores)
    assert detector.threshold.value == pytest.approx(
        np.sort(scores)[990]
    )  # rank ceil(1001 * 0.99) = 991


def test_the_example_is_a_typical_calibration_row(bundle: Bundle) -> None:
    assert (normal_rows().calibration.values_NF == bundle.example).all(axis=1).any()
    assert bundle.example_score == pytest.approx(np.median(bundle.detector.calibration.scores), 0.1)


def test_the_same_data_config_and_seed_give_the_same_hash(bundle: Bundle, tmp_path: Path) -> None:
    assert fitted(tmp_path / "again").hash == bundle.hash


def test_another_seed_or_other_data_give_another_hash(bundle: Bundle, tmp_path: Path) -> None:
    assert fitted(tmp_path / "seed", seed=1).hash != bundle.hash
    assert fitted(tmp_path / "data", rows=normal_rows(5)).hash != bundle.hash


def test_windows_of_several_rows_are_learnt_and_judged(tmp_path: Path) -> None:
    bundle = fitted(tmp_path, window_length=4, scorer=MahalanobisError())
    windows_BTF = np.tile(np.array([NORMAL_ROW]), (2, 4, 1)).reshape(2, 4, 3)
    windows_BTF[1, -1] = ANOMALOUS_ROW
    assert bundle.detector.contract.window_length == 4
    assert bundle.example.shape == (4, 3)
    assert bundle.detector.threshold.calibration_rows == 997
    verdicts = bundle.detector.judge(windows_BTF)
    assert verdicts.score_B[1] > verdicts.score_B[0]
    assert verdicts.anomaly_B[1]


def test_a_part_shorter_than_one_window_is_refused(tmp_path: Path) -> None:
    rows = normal_rows()
    short = NormalRows(rows.train, rows.validation[:3], rows.calibration)
    with pytest.raises(DataError, match=r"^3 validation rows came; one window needs 4$"):
        fitted(tmp_path, window_length=4, rows=short)


def test_a_scorer_that_says_nothing_of_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^scorer=state_rarity says nothing of this data"):
        fitted(tmp_path, scorer=StateRarity())


def test_an_export_that_differs_from_the_network_is_refused() -> None:
    with pytest.raises(KizashiError, match=r"^the exported network differs from the trained one"):
        export_onnx(_Fickle(3), np.random.default_rng(0).normal(size=(8, 1, 3)))


class _Fickle(DenseAutoencoder):
    """Answers otherwise each time, as no exported network can."""

    calls = 0

    def forward(self, windows_BTF: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(windows_BTF) + float(self.calls)
