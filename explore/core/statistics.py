"""Statistics of runs and of samples: means, paired differences, and ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def mean_and_std(values: ArrayLike) -> tuple[float, float]:
    """Return the mean and the standard deviation over runs. Runs that are NaN are left out."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    mean = float(finite.mean()) if len(finite) else float("nan")
    return mean, float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")


def paired_difference(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Return the mean of a − b over runs, and half of its 95 % confidence interval by Student's t.

    Run k of both has the same images and starts from the same weights. The half interval is NaN for
    fewer than two runs.

    Example:
        >>> mean, half = paired_difference([0.9, 0.8, 0.85], [0.8, 0.7, 0.8])
        >>> round(mean, 3), round(half, 3)
        (0.083, 0.072)
    """
    from scipy.special import stdtrit  # The quantile of Student's t; scipy.stats imports slowly.

    differences = np.asarray(a, float) - np.asarray(b, float)
    mean, std = mean_and_std(differences)
    n = int(np.isfinite(differences).sum())
    return mean, float(stdtrit(n - 1, 0.975) * std / np.sqrt(n)) if n > 1 else float("nan")


def mean_ranks(values: ArrayLike) -> np.ndarray:
    """Return the ranks of values from 1 on; equal values share the mean of their ranks.

    Example:
        >>> mean_ranks([3.0, 1.0, 3.0])
        array([2.5, 1. , 2.5])
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's correlation of pairs that are finite; NaN if one side is constant.

    ``scipy.stats`` has it too, but imports slowly.

    Example:
        >>> rank_correlation([1.0, 2.0, 30.0], [0.1, 0.2, 0.3])
        1.0
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    finite = np.isfinite(first) & np.isfinite(second)
    if not finite.any():
        return float("nan")
    x, y = (mean_ranks(values[finite]) for values in (first, second))
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / scale) if scale else float("nan")
