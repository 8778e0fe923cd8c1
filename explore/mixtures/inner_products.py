"""Inner products of Gaussian mixtures in L2, in closed form and in the log domain."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from explore.errors import InvalidInput
from explore.mixtures._gaussian import log_gaussian, log_sum_exp, quiet
from explore.mixtures.mixture import GaussianMixture

TILE_SIZE = 4_000_000
"""Most numbers in one temporary array."""


class InnerProducts(NamedTuple):
    """Logs of the three inner products of two mixtures: ``<f, f>``, ``<f, g>``, ``<g, g>``."""

    ff: float
    fg: float
    gg: float

    @property
    def log_cosine(self) -> float:
        """``log cos θ``; clipped at zero, because rounding may leave a little more."""
        return min(0.0, self.fg - 0.5 * (self.ff + self.gg))


@quiet
def inner_products(
    f: GaussianMixture, g: GaussianMixture, ff: float | None = None, gg: float | None = None
) -> InnerProducts:
    """Compute the three inner products; give ``ff`` and ``gg`` if they are already computed.

    Raises:
        InvalidInput: an argument is not a mixture, or their dimensions differ.
    """
    check_pair(f, g)
    return InnerProducts(
        log_inner_product(f, f) if ff is None else ff,
        log_inner_product(f, g),
        log_inner_product(g, g) if gg is None else gg,
    )


@quiet
def gram_log(f: GaussianMixture, g: GaussianMixture) -> np.ndarray:
    """Compute the logs of the Gram matrix of the components, ``[len(f), len(g)]``.

    ``k(i, j) = ∫ N(x; μ_i, Σ_i) N(x; m_j, S_j) dx = N(μ_i; m_j, Σ_i + S_j)``.

    Raises:
        InvalidInput: an argument is not a mixture, or their dimensions differ.
    """
    check_pair(f, g)
    return log_gram_matrix(f, g)


def log_gram_matrix(f: GaussianMixture, g: GaussianMixture) -> np.ndarray:
    """Return ``gram_log`` of two mixtures of one dimension."""
    d = f.dimension
    rows = max(1, TILE_SIZE // (len(g) * d * d))
    logs = np.empty((len(f), len(g)))
    g_means, g_covariances = g.means.T[:, None, :], np.moveaxis(g.covariances, 0, -1)[:, :, None, :]
    for start in range(0, len(f), rows):
        tile = slice(start, start + rows)
        differences = f.means[tile].T[:, :, None] - g_means
        f_covariances = np.moveaxis(f.covariances[tile], 0, -1)[:, :, :, None]
        logs[tile] = log_gaussian(differences, f_covariances + g_covariances)
    return logs


@quiet
def inner_log(f: GaussianMixture, g: GaussianMixture) -> float:
    """Compute ``log ∫ f g dx``; minus infinity where it is below the least number (about −1e308).

    Raises:
        InvalidInput: an argument is not a mixture, or their dimensions differ.

    Example:
        >>> near, far = (GaussianMixture([1.0], [mean], [1.0]) for mean in (0.0, 200.0))
        >>> round(inner_log(near, far), 3)
        -10001.266
    """
    check_pair(f, g)
    return log_inner_product(f, g)


def log_inner_product(f: GaussianMixture, g: GaussianMixture) -> float:
    """Return ``inner_log`` of two mixtures of one dimension."""
    with np.errstate(divide="ignore"):  # Weights may be zero.
        return log_sum_exp(np.log(f.weights)[:, None] + np.log(g.weights) + log_gram_matrix(f, g))


def check_mixture(name: str, value: Any) -> GaussianMixture:
    """Return a mixture.

    Raises:
        InvalidInput: the value is something else.
    """
    if not isinstance(value, GaussianMixture):
        raise InvalidInput(
            f"{name} must be a GaussianMixture, got {type(value).__name__}; "
            "load_mixture returns one by its name"
        )
    return value


def check_pair(f: GaussianMixture, g: GaussianMixture) -> None:
    """Check that both are mixtures, and of the same dimension.

    Raises:
        InvalidInput: they are not.
    """
    for mixture in (f, g):
        if not isinstance(mixture, GaussianMixture):
            raise InvalidInput(f"expected two GaussianMixtures, got {type(mixture).__name__}")
    if f.dimension != g.dimension:
        raise InvalidInput(
            f"expected mixtures of equal dimension, got {f.dimension} and {g.dimension}"
        )
