"""GMRC's clustering (Schieferdecker and Huber, 2009): k-means among components, by the divergence to each cluster's moments."""

from __future__ import annotations

import numpy as np

from explore.mixtures.components import Parts
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.pruning import gaussian_kl
from explore.mixtures.reduction.stages import Kept

SWEEPS = 50
"""At most."""


class Clustering(Kept):
    """Assign every original component to the cluster it diverges least from, then match the clusters' moments; repeat.

    It never raises ``Σ w_i KL(f_i ‖ g_k)``, of which Runnalls' costs, summed along a path, are the value at its end. A cluster
    that loses all its components starts again at the one that is worst represented.
    """

    phase, values = "clustering", ("taken", "evaluations", "settled")

    def __init__(self, original: GaussianMixture) -> None:
        self.original, self.steps, self.settled = original, SWEEPS, False

    def advance(self, parts: Parts) -> None:
        """One sweep."""
        f, slots = self.original, np.flatnonzero(parts.alive)
        costs = np.stack(
            [
                gaussian_kl(mean, covariance, parts.means[slots], parts.covariances[slots])
                for mean, covariance in zip(f.means, f.covariances, strict=True)
            ]
        )
        chosen = costs.argmin(1)
        least = f.weights * costs[np.arange(len(f)), chosen]
        for empty in np.setdiff1d(np.arange(len(slots)), chosen):
            alone = np.bincount(chosen, minlength=len(slots))[chosen] == 1
            worst = int(np.argmax(np.where(alone, -np.inf, least)))
            chosen[worst], least[worst] = empty, 0.0
        labels = slots[chosen]
        self.settled = self.converged = bool(np.array_equal(labels, parts.labels))
        self.taken += 1
        self.message = (
            f"clusters {'settled' if self.settled else 'still changed'} after {self.taken} sweeps"
        )
        parts.regroup(labels)

    def done(self, parts: Parts) -> bool:
        """Whether the last sweep changed nothing, or the sweeps are used up."""
        return self.settled or self.taken >= SWEEPS
