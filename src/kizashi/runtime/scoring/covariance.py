"""Covariance of few rows, and the whitening that leaves each sensor its own."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SMALLEST_EIGENVALUE = 1e-6
"""As a share of the largest; what varies less counts as varying that much."""


def ledoit_wolf_covariance(centred_NV: FloatArray) -> FloatArray:
    """Shrunk covariance (V, V) of rows with mean 0: (1 - δ) S + δ μ I with the optimal δ.

    Formulas of Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
    matrices", J. Multivariate Anal. 88 (2004), section 3, for S the sample covariance, μ its mean
    variance.
    """
    rows, values = centred_NV.shape
    sample_VV = centred_NV.T @ centred_NV / rows
    mean_variance = np.trace(sample_VV) / values
    distance = np.sum(sample_VV**2) / values - mean_variance**2
    square_NV = centred_NV**2
    noise = (np.sum(square_NV.T @ square_NV) / rows - np.sum(sample_VV**2)) / (rows * values)
    shrinkage = 1.0 if distance <= 0 else float(np.clip(noise / distance, 0.0, 1.0))
    shrunk_VV: FloatArray = (1 - shrinkage) * sample_VV
    shrunk_VV += shrinkage * mean_variance * np.eye(values)
    return shrunk_VV


def whitening(covariance_VV: FloatArray) -> FloatArray:
    """The symmetric inverse root of the correlation matrix, in units of the deviations.

    ZCA-cor of Kessy, Lewin and Strimmer, "Optimal whitening and decorrelation", Am. Stat. 72
    (2018): of all whitenings it stays closest to the values it started from, so the squares that
    add up to the Mahalanobis distance are each value's own. A value of variance 0 is taken as it
    is, as if its variance were 1.
    """
    variance_V = np.diag(covariance_VV)
    deviation_V = np.sqrt(np.where(variance_V > 0, variance_V, 1.0))
    correlation_VV = covariance_VV / np.outer(deviation_V, deviation_V)
    eigenvalue_V, eigenvector_VV = np.linalg.eigh(correlation_VV + np.diag(variance_V <= 0))
    root_V = 1 / np.sqrt(np.maximum(eigenvalue_V, SMALLEST_EIGENVALUE * eigenvalue_V[-1]))
    whitening_VV: FloatArray = (eigenvector_VV * root_V) @ eigenvector_VV.T / deviation_V
    return whitening_VV
