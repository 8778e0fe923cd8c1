"""Statistics: mean and spread over runs, and paired differences with their confidence intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def spread(values: ArrayLike) -> tuple[float, float]:
    """Mean and standard deviation over runs; NaN runs are left out."""
    v = np.asarray(values, float)
    v = v[np.isfinite(v)]
    return (float(v.mean()) if len(v) else float("nan")), (
        float(v.std(ddof=1)) if len(v) > 1 else float("nan")
    )


def paired(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Mean of a − b over runs, and half of its 95 % confidence interval by Student's t; NaN of fewer than two runs.

    Runs are paired: run k of both has the same images and starts from the same weights.

    Example:
        >>> mean, half = paired([0.9, 0.8, 0.85], [0.8, 0.7, 0.8])
        >>> round(mean, 3), round(half, 3)
        (0.083, 0.072)
    """
    from scipy.special import (
        stdtrit,
    )  # the quantile of Student's t; scipy.stats would take half a second to import

    d = np.asarray(a, float) - np.asarray(b, float)
    mean, deviation = spread(d)
    n = int(np.isfinite(d).sum())
    return mean, float(stdtrit(n - 1, 0.975) * deviation / np.sqrt(n)) if n > 1 else float("nan")
