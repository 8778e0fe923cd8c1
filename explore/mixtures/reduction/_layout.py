"""The arrangement of components for the compiled kernels (see ``_kernels.products``)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from explore.mixtures._gaussian import LOG_2PI
from explore.mixtures._kernels.products import LANES, PAD
from explore.mixtures.mixture import GaussianMixture

MIN_RELATIVE_WEIGHT = 1e-30
"""Components with less than this fraction of the largest weight do not determine the unit."""


def whiten(mixture: GaussianMixture) -> tuple[np.ndarray, float, float]:
    """Transform a mixture to mean 0 and covariance 1.

    Returns:
        The components as columns ``[F, n]``; the unit per dimension, in which the largest
        self-product is 1; and the log of the factor from those units to product integrals.
    """
    n, d = mixture.means.shape
    lower = mixture.covariance_factor
    inverse = np.linalg.inv(lower)
    c = np.empty((d + d * (d + 1) // 2, n))
    c[:d] = inverse @ (mixture.means - mixture.mean).T
    covariances = inverse @ mixture.covariances @ inverse.T
    for u in range(d):
        for v in range(u + 1):
            c[d + u * (u + 1) // 2 + v] = covariances[:, u, v]
    log_root = np.log(np.diag(lower)).sum()
    log_roots = np.log(np.diagonal(mixture.factors, axis1=1, axis2=2)).sum(1) - log_root
    relevant = mixture.weights > MIN_RELATIVE_WEIGHT * mixture.weights.max()
    log_unit = float(log_roots[relevant].min() / d + 0.5 * np.log(2))
    log_factor = -float(log_root) - d * log_unit - 0.5 * d * LOG_2PI
    return c, float(np.exp(log_unit)), log_factor


def log_determinants(c: np.ndarray) -> np.ndarray:
    """Compute the log determinant of each covariance in ``c [F, n]``."""
    d = _dimension(c)
    if d == 1:
        return np.log(c[1])
    covariances = np.empty((c.shape[1], d, d))
    for u in range(d):
        for v in range(u + 1):
            covariances[:, u, v] = covariances[:, v, u] = c[d + u * (u + 1) // 2 + v]
    return np.linalg.slogdet(covariances)[1]


def self_products(c: np.ndarray, unit: float) -> np.ndarray:
    """Compute the product of each component in ``c [F, n]`` with itself (see ``whiten``)."""
    return np.exp(_dimension(c) * (np.log(unit) - 0.5 * np.log(2)) - 0.5 * log_determinants(c))


def _dimension(c: np.ndarray) -> int:
    return int((np.sqrt(9 + 8 * len(c)) - 3) / 2 + 0.5)


@lru_cache(maxsize=4)
def tasks_of_all_pairs(n: int) -> np.ndarray:
    """Return all pairs as tasks ``[T, 3]``: a component, its first partner before it, how many."""
    tasks = [(i, start, min(LANES, i - start)) for i in range(1, n) for start in range(0, i, LANES)]
    return np.array(tasks, np.int64).reshape(-1, 3)


def tasks_of_component(i: int, n: int) -> np.ndarray:
    """Return the pairs of one component with all others as tasks ``[T, 3]``."""
    return np.array([(i, start, min(LANES, n - start)) for start in range(0, n, LANES)], np.int64)


def pad_columns(array: np.ndarray, value: float = 0.0) -> np.ndarray:
    """Return a copy with ``PAD`` more columns."""
    return np.concatenate([array, np.full((*array.shape[:-1], PAD), value)], -1)


def rows_of(c: np.ndarray) -> np.ndarray:
    """Return ``c [F, n + PAD]`` as contiguous rows ``[n, F]``."""
    return np.ascontiguousarray(c[:, :-PAD].T)
