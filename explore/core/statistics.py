"""Mean and standard deviation over runs, and paired differences with their confidence intervals."""

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
