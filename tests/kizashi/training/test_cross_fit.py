"""Calibration without calibration rows: each block of rows scored by what has not seen it."""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import DataError
from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract
from kizashi.runtime.scaling import StandardScaler
from kizashi.runtime.scoring import JointScore, NearestNormal, ReconstructionError, Scorer
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import CROSS_FIT_BLOCKS, NormalRows, Recipe, fit_bundle
from kizashi.training.trainer import NetworkTrainer
from tests.bundles import PRESS_LINE, press_line_rows

FloatArray = npt.NDArray[np.float64]


class Networks:
    """Makes networks and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, n_sensors: int, window_length: int) -> DenseAutoencoder:
        self.made += 1
        return DenseAutoencoder(n_sensors, window_length, hidden=(8,), latent=1)


def fitted(
    folder: Path,
    rows: NormalRows,
    *,
    scorer: Scorer | None = None,
    window_length: int = 1,
    alpha: float = 0.05,
    patience: int | None = None,
    networks: Networks | None = None,
) -> Bundle:
    recipe = Recipe(
        network=networks or Networks(),
        scaler=StandardScaler(),
        scorer=scorer or NearestNormal(),
        threshold=ConformalThreshold(alpha),
        trainer=NetworkTrainer("cpu", steps=50, patience=patience, batch_size=64, progress=False),
    )
    contract = DataContract(PRESS_LINE, window_length, missing="reject")
    return fit_bundle(recipe, contract, rows, folder)


def without_calibration(train: Rows, validation: Rows | None = None) -> NormalRows:
    return NormalRows(train, validation or train[:0], train[:0])


def test_every_row_trains_and_every_row_calibrates(tmp_path: Path) -> None:
    rows = Rows(press_line_rows(403))
    bundle = fitted(tmp_path, without_calibration(rows[:300], rows[300:]))
    assert bundle.detector.calibration.scores.shape == (403,)
    assert bundle.detector.threshold.calibration_rows == 403
    kept = bundle.detector.scorer.to_dict()["kept"]
    assert kept.shape == (403, 3)


def test_windows_do_not_reach_from_one_block_into_the_next(tmp_path: Path) -> None:
    rows = Rows(press_line_rows(400))
    bundle = fitted(tmp_path, without_calibration(rows), window_length=4)
    assert len(bundle.detector.calibration.scores) == 400 - 3 * CROSS_FIT_BLOCKS


@pytest.mark.parametrize(
    "scorer", [NearestNormal(), JointScore([ReconstructionError(), NearestNormal()])]
)
def test_a_block_is_scored_by_a_detector_that_has_never_seen_it(
    tmp_path: Path, scorer: Scorer
) -> None:
    """The rows of one block lie together where no others do: unseen they are strange."""
    rows_NF = press_line_rows(400)
    rows_NF[100:150] += [5.0, -5.0, 5.0]
    bundle = fitted(tmp_path, without_calibration(Rows(rows_NF)), scorer=scorer)
    unseen, seen = bundle.detector.calibration.scores, bundle.detector.score(rows_NF[:, None])
    strange, others = np.r_[100:150], np.r_[0:100, 150:400]
    assert unseen[strange].min() > 2 * unseen[others].max()
    assert np.median(unseen[strange]) > 10 * np.median(seen[strange])


def test_a_scorer_that_looks_at_rows_alone_trains_one_network(tmp_path: Path) -> None:
    networks = Networks()
    fitted(tmp_path, without_calibration(Rows(press_line_rows(400))), networks=networks)
    assert networks.made == 1


def test_a_scorer_of_residuals_trains_a_network_for_each_block_and_one_for_all(
    tmp_path: Path,
) -> None:
    networks = Networks()
    rows = without_calibration(Rows(press_line_rows(400)))
    fitted(tmp_path, rows, scorer=ReconstructionError(), networks=networks)
    assert networks.made == CROSS_FIT_BLOCKS + 1


def test_with_calibration_rows_nothing_is_cross_fitted(tmp_path: Path) -> None:
    networks, whole = Networks(), Rows(press_line_rows(400))
    rows = NormalRows(whole[:200], whole[200:250], whole[250:])
    bundle = fitted(tmp_path, rows, scorer=ReconstructionError(), networks=networks)
    assert networks.made == 1
    assert bundle.detector.threshold.calibration_rows == 150


@pytest.mark.parametrize("scorer", [NearestNormal(), ReconstructionError()])
def test_false_alarms_of_a_cross_fitted_detector_are_near_the_rate_asked_for(
    tmp_path: Path, scorer: Scorer
) -> None:
    bundle = fitted(tmp_path, without_calibration(Rows(press_line_rows(600))), scorer=scorer)
    new_BTF = press_line_rows(5000, seed=1)[:, None]
    assert 0.02 < bundle.detector.judge(new_BTF).anomaly_B.mean() < 0.08


def test_early_stopping_is_left_to_the_network_of_all_rows(tmp_path: Path) -> None:
    whole = Rows(press_line_rows(300))
    rows = without_calibration(whole[:250], whole[250:])
    bundle = fitted(tmp_path, rows, scorer=ReconstructionError(), patience=5)
    assert bundle.detector.calibration.scores.shape == (300,)


@pytest.mark.parametrize(("length", "rows", "needed"), [(1, 15, 16), (4, 39, 40)])
def test_too_few_rows_to_cross_fit_are_refused_with_how_many_are_needed(
    tmp_path: Path, length: int, rows: int, needed: int
) -> None:
    fit = partial(fitted, tmp_path, window_length=length, alpha=0.5)
    message = f"^{rows} rows are too few to cross-fit in 8 blocks; at least {needed} are needed$"
    with pytest.raises(DataError, match=message):
        fit(without_calibration(Rows(press_line_rows(rows))))
    assert fit(without_calibration(Rows(press_line_rows(needed)))).detector.threshold.value > 0
