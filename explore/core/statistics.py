"""Statistics of runs and of samples: means, paired differences, and ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explore.core.array_validation import as_array, check_array
from explore.errors import InvalidInput


def mean_and_std(values: ArrayLike) -> tuple[float, float]:
    """Return the mean and the standard deviation over runs. Runs that are NaN are left out.

    Raises:
        InvalidInput: the values are no real numbers.
    """
    finite = as_array("values", values).astype(float)
    finite = finite[np.isfinite(finite)]
    mean = float(finite.mean()) if len(finite) else float("nan")
    return mean, float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")


def paired_difference(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Return the mean of a − b over runs, and half of its 95 % confidence interval by Student's t.

    Run k of both has the same images and starts from the same weights. The half interval is NaN for
    fewer than two runs.

    Raises:
        InvalidInput: the values are no real numbers, or their numbers differ.

    Example:
        >>> mean, half = paired_difference([0.9, 0.8, 0.85], [0.8, 0.7, 0.8])
        >>> round(mean, 3), round(half, 3)
        (0.083, 0.072)
    """
    from scipy.special import stdtrit  # The quantile of Student's t; scipy.stats imports slowly.

    first, second = _check_pairs(a, b)
    differences = first - second
    mean, std = mean_and_std(differences)
    n = int(np.isfinite(differences).sum())
    return mean, float(stdtrit(n - 1, 0.975) * std / np.sqrt(n)) if n > 1 else float("nan")


def mean_ranks(values: ArrayLike) -> np.ndarray:
    """Return the ranks of values from 1 on; equal values share the mean of their ranks.

    Raises:
        InvalidInput: the values are no list of real numbers, or one is NaN.

    Example:
        >>> mean_ranks([3.0, 1.0, 3.0])
        array([2.5, 1. , 2.5])
    """
    numbers = check_array("values", values, ("N",), finite=False, empty=True)
    if np.isnan(numbers).any():
        raise InvalidInput("values must not hold NaN, which has no rank")
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's correlation of pairs that are finite; NaN if one side is constant.

    ``scipy.stats`` has it too, but imports slowly.

    Raises:
        InvalidInput: the values are no lists of real numbers, or their numbers differ.

    Example:
        >>> rank_correlation([1.0, 2.0, 30.0], [0.1, 0.2, 0.3])
        1.0
    """
    first, second = _check_pairs(a, b)
    finite = np.isfinite(first) & np.isfinite(second)
    if not finite.any():
        return float("nan")
    x, y = (mean_ranks(values[finite]) for values in (first, second))
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / scale) if scale else float("nan")


def _check_pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = check_array("a", a, ("N",), finite=False, empty=True)
    second = check_array("b", b, ("N",), finite=False, empty=True)
    if len(first) != len(second):
        raise InvalidInput(f"a and b must be pairs, got {len(first)} and {len(second)} values")
    return first, second
