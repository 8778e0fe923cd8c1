"""The peaks of a mixture's density."""

from __future__ import annotations

import numpy as np

from explore.mixtures.mixture import GaussianMixture

SAME = 0.05
"""Points closer than this, in standard deviations around them, are one peak."""


def modes(mixture: GaussianMixture) -> np.ndarray:
    """Local maxima of the density, ``[k, d]``, the highest first.

    In one dimension from the sign of the slope on a grid that is as fine as an eighth of a standard deviation around
    every component. Beyond, the points that hill climbing from each mean arrives at (Carreira-Perpiñán, 2000): a
    mixture can have peaks that no mean leads to, though hardly any does.

    Example:
        >>> modes(GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])).round(3).ravel()
        array([-1.,  1.])
        >>> len(modes(GaussianMixture([0.5, 0.5], [-1.0, 1.0], [2.0, 2.0])))
        1
    """
    if mixture.dimension == 1:
        found = _on_a_line(mixture)
    else:
        from explore.mixtures.mode_kernels import climb

        usable = mixture.weights > 0
        precisions = np.linalg.inv(mixture.covariances[usable])
        logs = np.log(mixture.weights[usable]) + 0.5 * np.linalg.slogdet(precisions)[1]
        found = climb(mixture.means[usable].copy(), mixture.means[usable].copy(), precisions, logs, SAME)
    return found[np.argsort(-mixture.log_pdf(found), kind="stable")]


def _on_a_line(mixture: GaussianMixture) -> np.ndarray:
    means, widths = mixture.means[:, 0], np.sqrt(mixture.covariances[:, 0, 0])
    x = np.unique(means[:, None] + widths[:, None] * np.linspace(-4, 4, 65))

    def rises(x: np.ndarray) -> np.ndarray:
        away = means - x[:, None]
        with np.errstate(divide="ignore"):
            logs = np.log(mixture.weights / widths) - 0.5 * (away / widths) ** 2
        return (np.exp(logs - logs.max(1, keepdims=True)) * away / widths**2).sum(1) > 0

    rising = rises(x)
    at = np.flatnonzero(rising[:-1] & ~rising[1:])
    low, high = x[at], x[at + 1]
    for _ in range(40):  # halve the intervals down to rounding
        middle = 0.5 * (low + high)
        up = rises(middle)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return low[:, None]
