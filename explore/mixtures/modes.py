"""The modes (local maxima) of a mixture's density."""

from __future__ import annotations

import numpy as np

from explore.mixtures._gaussian import quiet
from explore.mixtures.inner_products import check_mixture
from explore.mixtures.mixture import GaussianMixture

DUPLICATE_DISTANCE = 0.05
"""Two maxima closer than this, in local standard deviations, are counted as one."""

MAX_PAIR_DISTANCE, MAX_PAIRS = 3.0, 1_000
"""Pairs of components with a start between them: their largest distance, and how many at most."""


@quiet
def modes(mixture: GaussianMixture) -> np.ndarray:
    """Find the local maxima of the density, ``[k, d]``, the highest first.

    In one dimension, from the sign of the slope on a grid with steps of an eighth of a standard
    deviation around every component. In more, by hill climbing (Carreira-Perpiñán, 2000) from each
    mean and from the middle of the ridge between every two components that overlap (Ray and
    Lindsay, 2005), because a density may have maxima where no component is.

    Example:
        >>> modes(GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])).round(3).ravel()
        array([-1.,  1.])
        >>> len(modes(GaussianMixture([0.5, 0.5], [-1.0, 1.0], [2.0, 2.0])))
        1
    """
    if check_mixture("mixture", mixture).dimension == 1:
        maxima = _modes_in_1d(mixture)
    else:
        from explore.mixtures._kernels.modes import climb

        positive = mixture.weights > 0
        means, covariances = mixture.means[positive], mixture.covariances[positive]
        precisions = np.linalg.inv(covariances)
        logs = np.log(mixture.weights[positive]) + 0.5 * np.linalg.slogdet(precisions)[1]
        starts = np.vstack([means, _ridge_points(means, covariances, precisions)])
        maxima = climb(starts, means, precisions, logs, DUPLICATE_DISTANCE)
    return maxima[np.argsort(-mixture.log_pdf(maxima), kind="stable")]


def _ridge_points(means: np.ndarray, covariances: np.ndarray, precisions: np.ndarray) -> np.ndarray:
    """Return the middles of the ridges between components that overlap, ``[k, d]``."""
    i, j = np.triu_indices(len(means), 1)
    shift = means[i] - means[j]
    scaled = np.linalg.solve(covariances[i] + covariances[j], shift[..., None])[..., 0]
    squares = (shift * scaled).sum(1)
    count = min(MAX_PAIRS, int((squares < MAX_PAIR_DISTANCE**2).sum()))
    nearest = np.argsort(squares, kind="stable")[:count]
    i, j = i[nearest], j[nearest]
    weighted = precisions[i] @ means[i][..., None] + precisions[j] @ means[j][..., None]
    return np.linalg.solve(precisions[i] + precisions[j], weighted)[..., 0]


def _modes_in_1d(mixture: GaussianMixture) -> np.ndarray:
    means, widths = mixture.means[:, 0], np.sqrt(mixture.covariances[:, 0, 0])
    x = np.unique(means[:, None] + widths[:, None] * np.linspace(-4, 4, 65))

    def is_rising(x: np.ndarray) -> np.ndarray:
        shift = means - x[:, None]
        with np.errstate(divide="ignore"):
            logs = np.log(mixture.weights / widths) - 0.5 * (shift / widths) ** 2
        return (np.exp(logs - logs.max(1, keepdims=True)) * shift / widths**2).sum(1) > 0

    rising = is_rising(x)
    tops = np.flatnonzero(rising[:-1] & ~rising[1:])
    low, high = x[tops], x[tops + 1]
    for _ in range(40):  # Bisection down to rounding.
        middle = 0.5 * (low + high)
        up = is_rising(middle)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return low[:, None]
