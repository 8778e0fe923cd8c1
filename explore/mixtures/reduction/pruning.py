"""Methods that process the lightest component first: pruning, West and its forms, COWA."""

from __future__ import annotations

import numpy as np

from explore.mixtures._gaussian import gaussian_kl, log_gaussian
from explore.mixtures.merging import REMOVED, MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.refine import best_weights
from explore.mixtures.reduction.stages import Merging, Step, check_pair_exists


class Pruning(Merging):
    """Remove the component of least weight and rescale the others. Moments are not preserved."""

    def reduce_once(self, current: MutableMixture) -> Step:
        """Remove one component."""
        i = int(np.argmin(np.where(current.alive, current.w, np.inf)))
        score = float(current.w[i])
        current.remove(i)
        return Step(i, REMOVED, score)


class LightestFirst(Merging):
    """Merge the lightest component with its nearest (West, 1993; Chen, Chang and Smith, 2010).

    Args:
        original: the mixture.
        components: where to end.
        order: which component is the lightest; see ``config.ORDERS``.
        partner: which component is the nearest; see ``config.PARTNERS``.
        reweigh: after each merge, choose all weights again for the least ISE, not negative (COWA).
    """

    def __init__(
        self,
        original: GaussianMixture,
        components: int,
        order: str = "weight",
        partner: str = "kl",
        reweigh: bool = False,
    ) -> None:
        super().__init__(original, components)
        self.order, self.partner, self.reweigh = order, partner, reweigh

    def reduce_once(self, current: MutableMixture) -> Step:
        """Merge one pair."""
        slots = np.flatnonzero(current.alive)
        i = int(slots[np.argmin(self._size(current.w[slots], current.covariances[slots]))])
        others = slots[slots != i]
        distances = self._distances(current, i, others)
        self.evaluations += (2 * len(others) + 1) * (self.partner == "ise")
        check_pair_exists(-1 if np.isnan(distances).any() else i)
        j, score = int(others[np.argmin(distances)]), float(distances.min())
        current.merge(min(i, j), max(i, j))
        if self.reweigh:
            reweigh(current)
            self.evaluations += len(self.original) * current.count + current.count**2
        return Step(min(i, j), max(i, j), score)

    def _size(self, w: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        if self.order == "weight":
            return w
        with np.errstate(divide="ignore"):
            if self.order == "trace":
                return np.log(w) - np.log(np.trace(covariances, axis1=1, axis2=2))
            return np.log(w) - np.linalg.slogdet(covariances)[1]

    def _distances(self, current: MutableMixture, i: int, others: np.ndarray) -> np.ndarray:
        mean, covariance = current.means[i], current.covariances[i]
        means, covariances = current.means[others], current.covariances[others]
        if self.partner == "kl":
            return gaussian_kl(mean, covariance, means, covariances)
        shifts = (means - mean).T
        cross = log_gaussian(shifts, np.moveaxis(covariances + covariance, 0, -1))
        norms = log_gaussian(np.zeros_like(shifts), 2 * np.moveaxis(covariances, 0, -1))
        norm = log_gaussian(np.zeros((len(mean), 1)), 2 * covariance[:, :, None])[0]
        with np.errstate(over="ignore"):
            return np.maximum(0.0, np.exp(norms) + np.exp(norm) - 2 * np.exp(cross))


def reweigh(current: MutableMixture) -> None:
    """Choose all weights again for the least ISE, none of them negative."""
    mixture = current.freeze()
    weights = best_weights(current.original, mixture, "ise")
    current.set_parameters(GaussianMixture._unchecked(weights, mixture.means, mixture.covariances))
