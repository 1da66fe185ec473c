"""Leaving the strangest training windows out."""

from functools import partial

import numpy as np
import numpy.typing as npt
import pytest

from kizashi.errors import ConfigurationError
from kizashi.evaluation.metrics import auroc
from kizashi.models.dense import DenseAutoencoder
from kizashi.runtime.scaling import StandardScaler
from kizashi.runtime.scoring import CrowdDistance, NearestNormal, Scorer
from kizashi.runtime.thresholds import ConformalThreshold
from kizashi.runtime.windows import Rows
from kizashi.training.fit import Recipe, fit_parts
from kizashi.training.trainer import NetworkTrainer
from kizashi.training.trim import REFERENCES, trimmed

FloatArray = npt.NDArray[np.float64]


def normal(windows: int, seed: int = 0) -> FloatArray:
    windows_BTF: FloatArray = np.random.default_rng(seed).normal(size=(windows, 2, 3))
    return windows_BTF


def test_nothing_is_left_out_unless_asked_for() -> None:
    assert trimmed(normal(100), 0.0).all()


@pytest.mark.parametrize(("share", "left_out"), [(0.1, 20), (0.049, 9), (0.004, 0), (0.49, 98)])
def test_as_many_as_the_share_asks_are_left_out(share: float, left_out: int) -> None:
    assert (~trimmed(normal(200), share)).sum() == left_out


@pytest.mark.parametrize("windows", [200, 10 * REFERENCES])
def test_faults_that_resemble_one_another_are_left_out(windows: int) -> None:
    faults = windows // 20
    alike_BTF = 3.0 + 0.01 * normal(faults, seed=1)
    mixed_BTF = np.concatenate([normal(windows - faults), alike_BTF])
    order = np.random.default_rng(2).permutation(windows)
    kept_B = trimmed(mixed_BTF[order], 0.05)
    assert not kept_B[order >= windows - faults].any()


def test_the_wildest_window_is_the_first_to_go() -> None:
    windows_BTF = normal(100)
    windows_BTF[37] = 1e3
    assert np.flatnonzero(~trimmed(windows_BTF, 0.01)).tolist() == [37]


def test_windows_that_repeat_one_another_are_left_out_by_number_alone() -> None:
    assert trimmed(np.zeros((50, 1, 2)), 0.1).sum() == 45


@pytest.mark.parametrize("share", [-0.1, 0.5, 1.0, float("nan")])
def test_a_share_that_is_negative_or_half_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match=f"^trim is {share}; a share from 0 and below 0.5"):
        trimmed(normal(10), share)


def told_apart(scorer: Scorer, trim: float, faults: int) -> float:
    """AUROC of faults of one kind after training on 1000 normal rows and this many of them."""
    rng = np.random.default_rng(0)
    fault_NF = np.array([3.0, -3.0, 3.0]) + 0.3 * rng.normal(size=(100 + faults, 3))
    new_NF = np.concatenate([rng.normal(size=(500, 3)), fault_NF[:100]])
    learned_NF = np.concatenate([rng.normal(size=(1000, 3)), fault_NF[100:]])
    recipe = Recipe(
        network=partial(DenseAutoencoder, hidden=(4,), latent=1),
        scaler=StandardScaler(),
        scorer=scorer,
        threshold=ConformalThreshold(0.01),
        trainer=NetworkTrainer("cpu", steps=5, progress=False),
        trim=trim,
    )
    learned = Rows(rng.permutation(learned_NF))
    fitted = fit_parts(recipe, 1, learned, learned[:0])
    return auroc(np.arange(600) >= 500, fitted.score(new_NF[:, None]))


def test_faults_among_the_training_rows_cost_little_where_they_are_expected() -> None:
    clean, dirty = (told_apart(NearestNormal(), 0.0, faults) for faults in (0, 50))
    assert clean > 0.98
    assert dirty < 0.75
    assert min(told_apart(CrowdDistance(0.05), 0.1, faults) for faults in (0, 50)) > 0.98
