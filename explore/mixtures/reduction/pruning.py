"""Methods that take the lightest component first: pruning, West's algorithm and its enhanced forms, COWA."""

from __future__ import annotations

import numpy as np

from explore.mixtures.components import REMOVED, Parts
from explore.mixtures.distances import log_gaussian
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.refine import best_weights
from explore.mixtures.reduction.stages import Merging, Step


class Pruning(Merging):
    """Remove the component of least weight and scale the others up. Moments are not kept."""

    def choose(self, parts: Parts) -> Step:
        """Remove one."""
        weights = np.where(parts.alive, parts.w, np.inf)
        i = int(np.argmin(weights))
        score = float(parts.w[i])
        parts.remove(i)
        return Step(i, REMOVED, score)


class LightestFirst(Merging):
    """Merge the least component into its nearest (West, 1993; enhanced: Chen, Chang and Smith, 2010).

    Args:
        original: the mixture.
        components: where to end.
        order: which is the least; see ``config.ORDERS``.
        partner: which is the nearest; see ``config.PARTNERS``.
        reweigh: after each merge choose all weights anew for the least ISE, none of them negative (COWA).
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

    def choose(self, parts: Parts) -> Step:
        """Merge one pair."""
        at = np.flatnonzero(parts.alive)
        i = int(at[np.argmin(self._size(parts.w[at], parts.covariances[at]))])
        others = at[at != i]
        far = self._distances(
            parts.means[i], parts.covariances[i], parts.means[others], parts.covariances[others]
        )
        self.evaluations += (2 * len(others) + 1) * (self.partner == "ise")
        j, score = int(others[np.argmin(far)]), float(far.min())
        parts.merge(min(i, j), max(i, j))
        if self.reweigh:
            reweigh(parts)
            self.evaluations += len(self.original) * parts.count + parts.count**2
        return Step(min(i, j), max(i, j), score)

    def _size(self, w: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        if self.order == "weight":
            return w
        with np.errstate(divide="ignore"):
            if self.order == "trace":
                return np.log(w) - np.log(np.trace(covariances, axis1=1, axis2=2))
            return np.log(w) - np.linalg.slogdet(covariances)[1]

    def _distances(
        self, mean: np.ndarray, covariance: np.ndarray, means: np.ndarray, covariances: np.ndarray
    ) -> np.ndarray:
        if self.partner == "kl":
            return gaussian_kl(mean, covariance, means, covariances)
        away = (means - mean).T
        between = log_gaussian(away, np.moveaxis(covariances + covariance, 0, -1))
        own = log_gaussian(np.zeros_like(away), 2 * np.moveaxis(covariances, 0, -1))
        mine = log_gaussian(np.zeros((len(mean), 1)), 2 * covariance[:, :, None])[0]
        with np.errstate(over="ignore"):
            return np.maximum(0.0, np.exp(own) + np.exp(mine) - 2 * np.exp(between))


def reweigh(parts: Parts) -> None:
    """Choose all weights anew for the least ISE, none of them negative."""
    mixture = parts.mixture()
    parts.put(
        GaussianMixture.trusted(
            best_weights(parts.original, mixture, "ise"), mixture.means, mixture.covariances
        )
    )


def gaussian_kl(
    mean: np.ndarray, covariance: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> np.ndarray:
    """``KL(N(mean, covariance) ‖ N(means[k], covariances[k]))`` for each k, ``[k]``, in nats."""
    lower = np.linalg.cholesky(covariances)
    spread = np.linalg.solve(
        lower, np.broadcast_to(np.linalg.cholesky(covariance), covariances.shape)
    )
    away = np.linalg.solve(lower, (means - mean)[:, :, None])[..., 0]
    logs = (
        np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(1)
        - np.log(np.diag(np.linalg.cholesky(covariance))).sum()
    )
    return 0.5 * ((spread**2).sum((1, 2)) + (away**2).sum(1) - len(mean)) + logs
