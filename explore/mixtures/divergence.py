"""The Kullback–Leibler divergence between Gaussian mixtures, by Monte Carlo."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.core.validation import check_whole_number
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.inner_products import check_pair
from explore.mixtures.mixture import GaussianMixture

MAX_EXCESS, DOMINANT_SHARE = 3.0, 0.01
"""The variance of ``g / f − 1`` is uncertain if one value is above the first, and its square is
more than the second of the sum of squares."""


MAX_DRAWS = 10**8
"""The most samples."""


@quiet
def kl_divergence(
    f: GaussianMixture, g: GaussianMixture, draws: int = 10_000, rng: Any = 0
) -> tuple[float, float]:
    """Estimate the Kullback–Leibler divergence ``KL(f‖g)`` in nats, with its standard error.

    Args:
        f: the density that is sampled.
        g: the density that is compared with it.
        draws: number of samples, from 2 to 100 million.
        rng: a generator or a seed.

    Raises:
        InvalidInput: fewer or more draws, mixtures of different dimensions, or a divergence that is
            larger than any number.

    Example:
        >>> f, g = GaussianMixture([1.0], [0.0], [1.0]), GaussianMixture([1.0], [1.0], [1.0])
        >>> value, error = kl_divergence(f, g)
        >>> abs(value - 0.5) < 4 * error
        True
    """
    check_pair(f, g)
    draws = check_whole_number("draws", draws, at_least=2)
    check_whole_number("draws", draws, at_most=MAX_DRAWS)
    points = f.sample(draws, rng)
    return mean_log_ratio(f.log_pdf(points) - g.log_pdf(points))


def mean_log_ratio(log_ratios: np.ndarray) -> tuple[float, float]:
    """Estimate ``KL(f‖g)`` and its standard error from ``log f − log g`` at samples of f.

    The mean of ``g / f − 1`` over samples of f is zero, so a multiple of it can be added to reduce
    the variance (a control variate). Where g is close to f, this leaves half the mean square of
    ``g / f − 1``, which is not negative, as the plain mean may be. Nothing is added where a few
    samples dominate that square, or where its mean is not zero within its error (g has mass where
    f has almost none).
    """
    if not np.isfinite(log_ratios).all():
        raise InvalidInput(
            "the divergence of these mixtures is larger than any number: where one of them has "
            "mass, the density of the other is 0"
        )
    excess = np.expm1(-np.clip(log_ratios, -50, 700))
    squares, multiple = excess**2, 0.0
    has_variance = 0 < squares.max() < max(MAX_EXCESS**2, DOMINANT_SHARE * squares.sum())
    if has_variance and abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(excess)):
        slope = -float(np.cov(log_ratios, excess)[0, 1] / excess.var(ddof=1))
        multiple = min(1.0, max(0.0, slope))
    values = log_ratios + multiple * excess
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
