"""A mixture as one vector of unconstrained numbers, for L-BFGS."""

from __future__ import annotations

import numpy as np

from explore.mixtures.mixture import GaussianMixture


class MixtureCoordinates:
    """The coordinates of a mixture: softmax logits, means, and Cholesky factors row by row.

    The diagonals of the factors are logarithms.

    Args:
        mixture: m components in d dimensions.
        min_weight: the lower bound of the weights.

    Attributes:
        start: the coordinates of ``mixture``.
    """

    def __init__(self, mixture: GaussianMixture, min_weight: float) -> None:
        self.m, self.d = mixture.means.shape
        self.min_weight, self.range = min_weight, 1 - self.m * min_weight
        self.lower = np.tril_indices(self.d)
        self.diagonal = np.flatnonzero(self.lower[0] == self.lower[1])
        entries = mixture.factors[:, *self.lower].copy()
        entries[:, self.diagonal] = np.log(entries[:, self.diagonal])
        share = np.maximum((mixture.weights - min_weight) / self.range, 1e-12)
        logits = np.log(share / share.sum())
        self.start = np.concatenate([logits, mixture.means.ravel(), entries.ravel()])

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return softmax shares, means and Cholesky factors."""
        logits, means, entries = np.split(x, [self.m, self.m + self.m * self.d])
        share = np.exp(logits - logits.max())
        entries = entries.reshape(self.m, -1).copy()
        entries[:, self.diagonal] = np.exp(np.clip(entries[:, self.diagonal], -300, 300))
        factors = np.zeros((self.m, self.d, self.d))
        factors[:, *self.lower] = entries
        return share / share.sum(), means.reshape(self.m, self.d), factors

    def mixture(self, x: np.ndarray) -> GaussianMixture:
        """Return the mixture with coordinates ``x``."""
        share, means, factors = self._split(x)
        return GaussianMixture._unchecked(
            self.min_weight + self.range * share, means, factors @ np.swapaxes(factors, 1, 2)
        )

    def gradient(
        self, x: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
    ) -> np.ndarray:
        """Return the derivative by ``x``, from the derivatives by the parameters."""
        share, _, factors = self._split(x)
        logits = self.range * share * (weights - share @ weights)
        entries = (2 * covariances @ factors)[:, *self.lower]
        entries[:, self.diagonal] *= np.diagonal(factors, axis1=1, axis2=2)
        return np.concatenate([logits, means.ravel(), entries.ravel()])
