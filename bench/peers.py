"""Detectors that others have, behind one small protocol; nothing of them is used in the product.

PyOD's detectors see standardised values, as their documentation advises, and keep their defaults
but for what some cases cannot be fitted with: PCA's components, the autoencoder's batch size.
Each is imported when it is made, so that the bench runs without PyOD when no peer needs it.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError, DataError

FloatArray = npt.NDArray[np.float64]


class Peer(Protocol):
    """Fitted on flattened windows of normal rows, shape (B, V); scores are higher for stranger
    ones."""

    def fit(self, values_BV: FloatArray) -> None:
        """Learn what is normal."""

    def score(self, values_BV: FloatArray) -> FloatArray:
        """One score a window, shape (B,)."""


@runtime_checkable
class Attributing(Peer, Protocol):
    """A peer whose score is by its nature a sum over the values of a window, or grows with one."""

    def parts(self, values_BV: FloatArray) -> FloatArray:
        """What each value adds, shape (B, V), at least 0."""


NOTHING_VARIES = 1e-10
"""Of the largest variance: a direction with less has none but for rounding."""


class Standardised:
    """Brings values to mean 0 and standard deviation 1 for another peer.

    A constant column keeps its unit, as in scikit-learn.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def fit(self, values_BV: FloatArray) -> None:
        self._mean_V, spread_V = values_BV.mean(axis=0), values_BV.std(axis=0)
        self._spread_V = np.where(constant(values_BV), 1.0, spread_V)
        self._peer.fit(self._scaled(values_BV))

    def score(self, values_BV: FloatArray) -> FloatArray:
        return self._peer.score(self._scaled(values_BV))

    def parts(self, values_BV: FloatArray) -> FloatArray:
        if not isinstance(self._peer, Attributing):
            raise DataError(f"{type(self._peer).__name__} names no sensor")
        return self._peer.parts(self._scaled(values_BV))

    def _scaled(self, values_BV: FloatArray) -> FloatArray:
        return np.asarray((values_BV - self._mean_V) / self._spread_V)


def constant(values_BV: FloatArray) -> npt.NDArray[np.bool_]:
    """Which columns never move, shape (V,)."""
    still_V = values_BV.std(axis=0) <= 1e-12 * np.maximum(np.abs(values_BV.mean(axis=0)), 1.0)
    return np.asarray(still_V)


class Pyod:
    """A PyOD detector, made for the number of rows that it is fitted on."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self._make = make

    def fit(self, values_BV: FloatArray) -> None:
        self._detector = self._make(len(values_BV)).fit(values_BV)

    def score(self, values_BV: FloatArray) -> FloatArray:
        return np.asarray(self._detector.decision_function(values_BV), dtype=np.float64)


class HotellingT2:
    """The squared Mahalanobis distance to the mean (Hotelling, 1947).

    The covariance is `shrunk` as Ledoit and Wolf do ("A well-conditioned estimator for
    large-dimensional covariance matrices", J. Multivar. Anal. 88, 2004), which rows as few as the
    values ask for; or it is the sample's own, and directions in which nothing varied are left out
    (the pseudo-inverse): where values depend on one another almost exactly, that resolves more.
    """

    def __init__(self, *, shrunk: bool) -> None:
        self._shrunk = shrunk

    def fit(self, values_BV: FloatArray) -> None:
        from sklearn.covariance import LedoitWolf

        self._mean_V = values_BV.mean(axis=0)
        if self._shrunk:
            covariance_VV = LedoitWolf().fit(values_BV).covariance_
        else:
            centred_BV = values_BV - self._mean_V
            covariance_VV = centred_BV.T @ centred_BV / len(values_BV)
        variance_V, direction_VV = np.linalg.eigh(covariance_VV)
        vary_V = variance_V > NOTHING_VARIES * variance_V[-1]
        root_V = np.where(vary_V, 1 / np.sqrt(np.where(vary_V, variance_V, 1.0)), 0.0)
        self._whitening_VV = (direction_VV * root_V) @ direction_VV.T

    def score(self, values_BV: FloatArray) -> FloatArray:
        return np.asarray(self.parts(values_BV).sum(axis=1))

    def parts(self, values_BV: FloatArray) -> FloatArray:
        """Squared components after whitening by the covariance's symmetric inverse root, which
        keeps each component closest to its own value; they sum to the distance."""
        return np.asarray(((values_BV - self._mean_V) @ self._whitening_VV) ** 2)


class SeedAutoencoder:
    """The plain autoencoder that this project began with: raw values, Linear → ReLU down to a
    bottleneck and back, mean squared error; the score is the length of the residual."""

    def __init__(self, seed: int, widths: Sequence[int] = (64, 16), epochs: int = 50) -> None:
        self._seed, self._widths, self._epochs = seed, widths, epochs

    def fit(self, values_BV: FloatArray) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(self._seed)
        self._network = _plain_network(values_BV.shape[1], self._widths)
        inputs_BV = torch.tensor(values_BV, dtype=torch.float32)
        optimiser = torch.optim.Adam(self._network.parameters(), lr=1e-3)
        for _ in range(self._epochs):
            for places in torch.split(torch.randperm(len(inputs_BV)), 32):
                optimiser.zero_grad()
                batch_BV = inputs_BV[places]
                loss = torch.nn.functional.mse_loss(self._network(batch_BV), batch_BV)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()

    def score(self, values_BV: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(self._residual(values_BV), axis=1))

    def parts(self, values_BV: FloatArray) -> FloatArray:
        return np.asarray(self._residual(values_BV) ** 2)

    def _residual(self, values_BV: FloatArray) -> FloatArray:
        import torch

        with torch.inference_mode():
            inputs_BV = torch.tensor(values_BV, dtype=torch.float32)
            residual_BV = (inputs_BV - self._network(inputs_BV)).numpy()
        return np.asarray(residual_BV, dtype=np.float64)


def _plain_network(values: int, widths: Sequence[int]) -> Any:
    from torch import nn

    down = [values, *widths]
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(down):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    up = down[::-1]
    for narrow, wide in pairwise(up):
        layers += [nn.Linear(narrow, wide), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _knn(seed: int) -> Peer:
    from pyod.models.knn import KNN

    return Standardised(Pyod(lambda rows: KNN(n_neighbors=min(5, rows - 1))))


def _lof(seed: int) -> Peer:
    from pyod.models.lof import LOF

    return Standardised(Pyod(lambda rows: LOF(n_neighbors=min(20, rows - 1))))


def _iforest(seed: int) -> Peer:
    from pyod.models.iforest import IForest

    return Standardised(Pyod(lambda rows: IForest(random_state=seed)))


def _ecod(seed: int) -> Peer:
    from pyod.models.ecod import ECOD

    return Standardised(Pyod(lambda rows: ECOD()))


def _pca(seed: int) -> Peer:
    from pyod.models.pca import PCA

    # It divides by each direction's variance: constant and dependent columns leave some without.
    return Standardised(Pyod(lambda rows: PCA(n_components=1 - 1e-9, random_state=seed)))


def _autoencoder(seed: int, **tuned: Any) -> Peer:
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    torch.set_num_threads(1)

    def make(rows: int) -> Any:
        # It drops the last batch: with more in a batch than there are rows it would learn nothing.
        return AutoEncoder(
            batch_size=min(32, rows), random_state=seed, device="cpu", verbose=0, **tuned
        )

    return Standardised(Pyod(make))


def _autoencoder_tuned(seed: int) -> Peer:
    # Without dropout it does better on most of a few cases that were tried, far better on some.
    return _autoencoder(seed, hidden_neuron_list=[64, 16], epoch_num=50, dropout_rate=0.0)


PEERS: dict[str, Callable[[int], Peer]] = {
    "pyod_knn": _knn,
    "pyod_lof": _lof,
    "pyod_iforest": _iforest,
    "pyod_ecod": _ecod,
    "pyod_pca": _pca,
    "pyod_autoencoder": _autoencoder,
    "pyod_autoencoder_tuned": _autoencoder_tuned,
    "t2": lambda seed: Standardised(HotellingT2(shrunk=False)),
    "t2_ledoit_wolf": lambda seed: Standardised(HotellingT2(shrunk=True)),
    "seed_autoencoder": SeedAutoencoder,
}
"""Each makes a new peer for a seed."""

ATTRIBUTING = ("t2", "t2_ledoit_wolf", "seed_autoencoder")
"""Peers that say by their nature how much of a score is which sensor's."""


def require_peers(names: Sequence[str]) -> None:
    """Raise ConfigurationError for a peer that is unknown, or needs PyOD where it is missing."""
    for name in names:
        if name not in PEERS:
            raise ConfigurationError(f"peers has '{name}'; there are: {', '.join(PEERS)}")
        if name.startswith("pyod_") and find_spec("pyod") is None:
            raise ConfigurationError(
                f"peers has '{name}', and PyOD is not installed: "
                "pip install -r requirements/bench.txt, or leave it out of peers=[...]"
            )
