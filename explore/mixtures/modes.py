"""The peaks of a mixture's density."""

from __future__ import annotations

import numpy as np

from explore.mixtures.mixture import GaussianMixture

SAME = 0.05
"""Points closer than this, in standard deviations around them, are one peak."""

NEAR, MOST = 3.0, 1_000
"""Pairs of components that may have a peak between them: how far apart they are at most, and how many are tried."""


def modes(mixture: GaussianMixture) -> np.ndarray:
    """Local maxima of the density, ``[k, d]``, the highest first.

    In one dimension from the sign of the slope on a grid that is as fine as an eighth of a standard deviation around
    every component. Beyond, the points that hill climbing arrives at (Carreira-Perpiñán, 2000), from each mean and from the
    middle of the ridge between every two components that overlap (Ray and Lindsay, 2005): there may be peaks where no
    component is.

    Example:
        >>> modes(GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])).round(3).ravel()
        array([-1.,  1.])
        >>> len(modes(GaussianMixture([0.5, 0.5], [-1.0, 1.0], [2.0, 2.0])))
        1
    """
    if mixture.dimension == 1:
        found = _on_a_line(mixture)
    else:
        from explore.mixtures._kernels.modes import climb

        usable = mixture.weights > 0
        precisions = np.linalg.inv(mixture.covariances[usable])
        logs = np.log(mixture.weights[usable]) + 0.5 * np.linalg.slogdet(precisions)[1]
        means = mixture.means[usable]
        starts = np.vstack([means, _between(means, mixture.covariances[usable], precisions)])
        found = climb(starts, means, precisions, logs, SAME)
    return found[np.argsort(-mixture.log_pdf(found), kind="stable")]


def _between(means: np.ndarray, covariances: np.ndarray, precisions: np.ndarray) -> np.ndarray:
    """The middles of the ridges between components that overlap, ``[k, d]``, at most ``MOST``."""
    i, j = np.triu_indices(len(means), 1)
    apart = means[i] - means[j]
    far = (apart * np.linalg.solve(covariances[i] + covariances[j], apart[..., None])[..., 0]).sum(
        1
    )
    near = np.argsort(far, kind="stable")[: min(MOST, int((far < NEAR**2).sum()))]
    i, j = i[near], j[near]
    pull = precisions[i] @ means[i][..., None] + precisions[j] @ means[j][..., None]
    return np.linalg.solve(precisions[i] + precisions[j], pull)[..., 0]


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
