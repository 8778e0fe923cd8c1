"""Validation of the weights, means and covariances of a mixture."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from explore.errors import ExploreWarning, InvalidInput
from explore.mixtures._gaussian import symmetric

SUM_TOLERANCE = 1e-6
"""The sum of the weights may differ from one by this much (float32 rounding)."""

SYMMETRY_TOLERANCE = 1e-8
"""Covariances may be asymmetric by this fraction of their largest entry."""

JITTER_GROWTH, MAX_JITTER = 10.0, 1e-4


def finite_array(name: str, values: Any) -> np.ndarray:
    """Return a float64 copy of finite numbers.

    Raises:
        InvalidInput: a value is not a number, or is NaN or infinite.
    """
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be numbers: {error}") from error
    if not np.isfinite(array).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        component = f" of component {index[0]}" if index else ""
        raise InvalidInput(f"{name} must be finite, got {array[index]}{component}")
    return array


def validate_weights(values: Any, n: int, normalize: bool) -> np.ndarray:
    """Return weights ``[n]`` with sum one, or raise ``InvalidInput``."""
    weights = finite_array("weights", values)
    if weights.shape != (n,):
        raise InvalidInput(f"weights must be [{n}] for {n} means, got shape {weights.shape}")
    if (weights < 0).any():
        k = int(np.argmin(weights))
        raise InvalidInput(f"weights must not be negative, component {k} has {weights[k]:g}")
    largest = float(weights.max())
    if largest == 0:
        raise InvalidInput("weights must not all be zero")
    if normalize:
        weights = weights / largest  # The sum of very large weights would overflow.
    total = float(weights.sum())
    if not normalize and not abs(total - 1) <= SUM_TOLERANCE:
        raise InvalidInput(
            f"weights must have sum one, got {total:g}; give normalize=True to divide by the sum"
        )
    return weights / total


def validate_covariances(values: Any, n: int, d: int, jitter: float) -> np.ndarray:
    """Return positive definite covariances ``[n, d, d]``, or raise ``InvalidInput``."""
    if not 0 <= jitter <= MAX_JITTER:
        raise InvalidInput(f"jitter must be in [0, {MAX_JITTER:g}], got {jitter!r}")
    covariances = finite_array("covariances", values)
    if covariances.shape == (n,):
        covariances = np.einsum("n,ij->nij", covariances, np.eye(d))
    elif covariances.shape == (n, d):
        symmetric_matrix = n == d > 1 and np.array_equal(covariances, covariances.T)
        if symmetric_matrix and np.count_nonzero(covariances) > n:
            text = (
                f"covariances [{n}, {d}] are read as the variances of {n} components; if you mean "
                f"one covariance matrix for all components, give [{n}, {d}, {d}]"
            )
            warnings.warn(text, ExploreWarning, stacklevel=3)
        covariances = np.einsum("ni,ij->nij", covariances, np.eye(d))
    elif covariances.shape != (n, d, d):
        expected = f"[{n}, {d}, {d}], [{n}, {d}] or [{n}]"
        raise InvalidInput(f"covariances must be {expected}, got shape {covariances.shape}")
    else:
        asymmetry = np.abs(covariances - np.swapaxes(covariances, 1, 2)).max((1, 2))
        asymmetric = asymmetry > SYMMETRY_TOLERANCE * np.abs(covariances).max((1, 2))
        if asymmetric.any():
            k = int(asymmetric.argmax())
            raise InvalidInput(f"covariances must be symmetric, component {k} is not")
        covariances = symmetric(covariances)
    try:
        np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        for k in range(n):
            covariances[k], fraction = _lift_diagonal(covariances[k], k, jitter)
            if fraction:
                text = (
                    f"component {k} was nearly singular; {fraction:g} of its mean variance was "
                    "added to its diagonal"
                )
                warnings.warn(text, ExploreWarning, stacklevel=3)
    return np.ascontiguousarray(covariances)


def _lift_diagonal(covariance: np.ndarray, k: int, jitter: float) -> tuple[np.ndarray, float]:
    """Add as little to the diagonal as makes a covariance positive definite.

    Returns:
        The covariance, and which fraction of the mean variance was added.
    """
    fraction, scale = 0.0, np.trace(covariance) / len(covariance)
    while True:
        lifted = covariance + fraction * scale * np.eye(len(covariance))
        try:
            np.linalg.cholesky(lifted)
        except np.linalg.LinAlgError:
            fraction = fraction * JITTER_GROWTH if fraction else jitter
            if 0 < fraction <= MAX_JITTER and scale > 0:
                continue
            lowest = float(np.linalg.eigvalsh(covariance)[0])
            hint = "" if jitter else "; if it is only nearly singular, give jitter=1e-10"
            raise InvalidInput(
                f"covariances must be positive definite, component {k} has the eigenvalue "
                f"{lowest:.3g}{hint}"
            ) from None
        return lifted, fraction
