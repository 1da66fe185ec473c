import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.peers import PEERS, require_peers
from kizashi.errors import ConfigurationError

WITHOUT_PYOD = [name for name in PEERS if not name.startswith("pyod_")]
HAS_PYOD = importlib.util.find_spec("pyod") is not None


def line_rows(count: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Two sensors that move together, and one that never moves."""
    rng = np.random.default_rng(seed)
    load_N = rng.normal(size=count)
    return np.column_stack([load_N, load_N + 0.05 * rng.normal(size=count), np.full(count, 7.0)])


@pytest.mark.parametrize("name", WITHOUT_PYOD if not HAS_PYOD else list(PEERS))
@pytest.mark.parametrize("rows", [23, 300])
def test_a_peer_scores_few_and_many_rows_with_a_constant_column(name: str, rows: int) -> None:
    peer = PEERS[name](0)
    peer.fit(line_rows(rows, seed=0))
    far = np.array([[9.0, -9.0, 7.0]])
    score_B = peer.score(np.concatenate([line_rows(50, seed=1), far]))
    assert score_B.shape == (51,) and np.isfinite(score_B).all()
    assert score_B[-1] > np.median(score_B)


@pytest.mark.parametrize("name", ["t2", "t2_ledoit_wolf"])
def test_t2_finds_a_broken_relation_that_no_sensor_shows_alone(name: str) -> None:
    peer = PEERS[name](0)
    peer.fit(line_rows(300, seed=0))
    within, across = peer.score(np.array([[2.0, 2.0, 7.0], [1.0, -1.0, 7.0]]))
    assert across > 20 * within


def test_a_seed_decides_what_the_plain_autoencoder_becomes() -> None:
    rows_NF = line_rows(100, seed=0)

    def scores(seed: int) -> list[float]:
        peer = PEERS["seed_autoencoder"](seed)
        peer.fit(rows_NF)
        return [float(score) for score in peer.score(rows_NF)]

    assert scores(1) == scores(1) != scores(2)


def test_an_unknown_peer_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"peers has 'knn'; there are: pyod_knn, "):
        require_peers(["t2_ledoit_wolf", "knn"])


@pytest.mark.skipif(HAS_PYOD, reason="PyOD is installed here")
def test_a_peer_of_pyod_says_how_to_get_it() -> None:
    with pytest.raises(ConfigurationError, match=r"requirements/bench\.txt"):
        require_peers(["pyod_knn"])


def test_the_table_of_peers_needs_neither_pyod_nor_torch() -> None:
    code = (
        "import sys, bench.peers; "
        "sys.exit(any(name in sys.modules for name in ('pyod', 'sklearn', 'torch')))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
