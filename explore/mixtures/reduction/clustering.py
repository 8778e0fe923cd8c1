"""The clustering of GMRC (Schieferdecker and Huber, 2009): k-means of components, by divergence."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from explore.mixtures._gaussian import gaussian_kl
from explore.mixtures.merging import MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.stages import Stage

MAX_SWEEPS = 50


class Clustering(Stage):
    """Assign every original component to the cluster of least divergence, and match moments.

    A sweep never raises ``Σ w_i KL(f_i ‖ g_k)``; at the end of a path, this is the sum of Runnalls'
    costs along it. A cluster that loses all its components restarts at the component that is
    represented worst.
    """

    phase = "clustering"
    state_values: ClassVar[dict[str, str]] = {**Stage.state_values, "stable": "settled"}

    def __init__(self, original: GaussianMixture) -> None:
        self.original, self.steps, self.stable = original, MAX_SWEEPS, False

    def advance(self, current: MutableMixture) -> None:
        """Do one sweep."""
        f, slots = self.original, np.flatnonzero(current.alive)
        means, covariances = current.means[slots], current.covariances[slots]
        costs = np.stack(
            [
                gaussian_kl(mean, covariance, means, covariances)
                for mean, covariance in zip(f.means, f.covariances, strict=True)
            ]
        )
        clusters = costs.argmin(1)
        weighted_costs = f.weights * costs[np.arange(len(f)), clusters]
        for empty in np.setdiff1d(np.arange(len(slots)), clusters):
            alone = np.bincount(clusters, minlength=len(slots))[clusters] == 1
            worst = int(np.argmax(np.where(alone, -np.inf, weighted_costs)))
            clusters[worst], weighted_costs[worst] = empty, 0.0
        labels = slots[clusters]
        self.stable = self.converged = bool(np.array_equal(labels, current.labels))
        self.steps_done += 1
        status = "settled" if self.stable else "still changed"
        self.message = f"clusters {status} after {self.steps_done} sweeps"
        current.regroup(labels)

    def done(self, current: MutableMixture) -> bool:
        """Return whether the last sweep changed nothing, or no sweeps are left."""
        return self.stable or self.steps_done >= MAX_SWEEPS
