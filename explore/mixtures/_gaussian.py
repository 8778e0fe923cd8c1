"""Formulas for Gaussian densities on plain arrays, in the log domain."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from explore.errors import InvalidInput

P = ParamSpec("P")
R = TypeVar("R")

LOG_2PI = float(np.log(2 * np.pi))

MAX_UNROLLED_DIMENSION = 4
"""Up to this dimension, Cholesky factors are computed entry by entry for all pairs at once."""


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, for which ``np.seterr`` of the caller has no effect.

    Densities far away are 0, and costs of impossible merges infinite: both are right results, which
    must not raise where NumPy is set to raise. Results that are wrong are refused where they leave.
    A matrix that is singular but for rounding becomes an ``InvalidInput``.
    """

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        with np.errstate(all="ignore"):
            try:
                return function(*args, **options)
            except np.linalg.LinAlgError as error:
                reason = str(error).lower().rstrip(".")
                raise InvalidInput(
                    "a covariance of the mixture is singular but for rounding, or its numbers are "
                    f"too large or too small ({reason}); choose another unit or scale the axes"
                ) from error

    return call


def symmetric(covariances: np.ndarray) -> np.ndarray:
    """Return the symmetric part of matrices ``[..., d, d]``."""
    return 0.5 * (covariances + np.swapaxes(covariances, -1, -2))


def log_sum_exp(values: np.ndarray, axis: int | None = None) -> Any:
    """Compute ``log Σ exp(values)`` without overflow; -inf where all values are -inf."""
    top = np.max(values, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        logs = np.log(np.sum(np.exp(values - top), axis=axis, keepdims=True)) + top
    return logs.item() if axis is None else np.squeeze(logs, axis)


def log_gaussian(differences: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Compute ``log N(r; 0, C)`` for many pairs.

    The Cholesky factors and the forward substitutions are computed together; neither an inverse
    nor a determinant is formed.

    Args:
        differences: r, ``[d, ...]``.
        covariances: C, ``[d, d, ...]``; only the lower triangles are read.
    """
    d = len(differences)
    total = np.full(differences.shape[1:], -0.5 * d * LOG_2PI)
    if d > MAX_UNROLLED_DIMENSION:
        lower = np.linalg.cholesky(np.moveaxis(covariances, (0, 1), (-2, -1)))
        solved = np.linalg.solve(lower, np.moveaxis(differences, 0, -1)[..., None])[..., 0]
        log_root = np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(-1)
        return total - 0.5 * (solved**2).sum(-1) - log_root
    factor: list[list[np.ndarray]] = []
    solved_rows: list[np.ndarray] = []
    for i in range(d):
        row: list[np.ndarray] = []
        for j in range(i):
            entry = covariances[i, j] - sum(row[k] * factor[j][k] for k in range(j))
            row.append(entry / factor[j][j])
        # The covariance is positive definite, so only rounding can make the pivot too small.
        pivot = covariances[i, i] - sum(entry**2 for entry in row)
        row.append(np.sqrt(np.maximum(pivot, 1e-16 * covariances[i, i])))
        factor.append(row)
        solved_rows.append(
            (differences[i] - sum(row[k] * solved_rows[k] for k in range(i))) / row[i]
        )
        total -= 0.5 * solved_rows[i] ** 2 + np.log(row[i])
    return total


def gaussian_kl(
    mean: np.ndarray, covariance: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> np.ndarray:
    """Compute the KL divergence from one Gaussian to each of several, ``[k]``, in nats."""
    lower = np.linalg.cholesky(covariances)
    own_lower = np.linalg.cholesky(covariance)
    spread = np.linalg.solve(lower, np.broadcast_to(own_lower, covariances.shape))
    shift = np.linalg.solve(lower, (means - mean)[:, :, None])[..., 0]
    logs = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(1) - np.log(np.diag(own_lower)).sum()
    return 0.5 * ((spread**2).sum((1, 2)) + (shift**2).sum(1) - len(mean)) + logs
