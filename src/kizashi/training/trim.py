"""Leaving the strangest training windows out, where faults may hide among them."""

import math

import numpy as np
import numpy.typing as npt

from kizashi.errors import ConfigurationError
from kizashi.runtime.scoring.scorer import evenly

FloatArray = npt.NDArray[np.float64]

REFERENCES = 1_000
REACH = 0.1
"""Share of the reference windows within the distance that is compared: faults that resemble one
another are each other's neighbours, but there are fewer of them than this."""
VALUES_AT_ONCE = 2**24


def trimmed(scaled_BTF: FloatArray, share: float) -> npt.NDArray[np.bool_]:
    """Which of the scaled windows to learn from: all but this share, the most remote ones.

    A window is as remote as it is far to its k-th nearest neighbour (Ramaswamy, Rastogi and Shim,
    "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000), with k a tenth of
    a sample spread evenly over the windows. Raises ConfigurationError for a share outside 0 to 0.5.
    """
    if not 0 <= share < 0.5:
        raise ConfigurationError(f"trim is {share!r}; a share from 0 and below 0.5 is needed")
    count = math.floor(share * len(scaled_BTF))
    kept_B = np.ones(len(scaled_BTF), dtype=np.bool_)
    if count:
        kept_B[np.argsort(_remoteness(scaled_BTF), kind="stable")[-count:]] = False
    return kept_B


def _remoteness(scaled_BTF: FloatArray) -> FloatArray:
    windows_BV = scaled_BTF.reshape(len(scaled_BTF), -1)
    reference_RV = windows_BV[evenly(len(windows_BV), REFERENCES)]
    rank = min(math.ceil(REACH * len(reference_RV)), len(reference_RV) - 1)
    square_R = np.einsum("rv,rv->r", reference_RV, reference_RV)
    remote_B = np.empty(len(windows_BV))
    at_once = max(1, VALUES_AT_ONCE // len(reference_RV))
    for start in range(0, len(windows_BV), at_once):
        piece = windows_BV[start : start + at_once]
        square_BR = square_R - 2 * piece @ reference_RV.T
        square_BR += np.einsum("bv,bv->b", piece, piece)[:, None]
        remote_B[start : start + at_once] = np.partition(square_BR, rank, axis=1)[:, rank]
    return remote_B
