"""What a reduction works on: components in numbered slots that are merged, removed or regrouped; and the merge itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explore.errors import InvalidInput
from explore.mixtures.mixture import GaussianMixture

REMOVED = -1
"""Label of a component that was removed, and second slot of the step that removed it."""


def merge_moments(
    mixture: GaussianMixture, indices: int | Sequence[int]
) -> tuple[float, np.ndarray, np.ndarray]:
    """Weight, mean ``[d]`` and covariance ``[d, d]`` of components taken together: what keeps their mass and first two moments.

    ``W = Σ w_i``, ``m = Σ w_i μ_i / W``, ``P = Σ w_i (Σ_i + (μ_i − m)(μ_i − m)ᵀ) / W``. The order of merges does not
    matter. Where all weights are zero, the first component stays as it is.

    Raises:
        InvalidInput: no index, one out of range, or one twice.

    Example:
        >>> two = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> merge_moments(two, [0, 1])
        (1.0, array([0.]), array([[1.1]]))
    """
    given = np.atleast_1d(np.asarray(indices, int)).tolist()
    if not given or min(given) < 0 or max(given) >= len(mixture) or len(set(given)) < len(given):
        raise InvalidInput(
            f"indices must be of the {len(mixture)} components, at least one, each once, got {given}"
        )
    chosen = np.array(given)
    weight, mean, covariance = moments(
        mixture.weights[chosen], mixture.means[chosen], mixture.covariances[chosen]
    )
    return float(weight), mean, covariance


def moments(
    w: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """``merge_moments`` of arrays ``[k]``, ``[k, d]``, ``[k, d, d]``."""
    total = w.sum()
    if total <= 0:
        return 0.0, means[0].copy(), covariances[0].copy()
    share = w / total
    mean = share @ means
    away = means - mean
    return total, mean, np.tensordot(share, covariances, 1) + (away.T * share) @ away


class Parts:
    """The components of a mixture on their way to fewer: N slots, of which some are ``alive``.

    Args:
        original: N components, one a slot.

    Attributes:
        w, means, covariances: ``[N]``, ``[N, d]``, ``[N, d, d]``; of slots that are not alive, leftovers.
        alive: ``[N]`` bool.
        labels: ``[N]``, the slot that each original component went to; ``REMOVED`` if it was removed.
    """

    def __init__(self, original: GaussianMixture) -> None:
        self.original = original
        self.w, self.means, self.covariances = (
            np.array(given) for given in (original.weights, original.means, original.covariances)
        )
        self.alive = np.ones(len(original), bool)
        self.labels = np.arange(len(original))
        self.count = len(original)

    def merge(self, i: int, j: int) -> None:
        """Put slot ``j`` into slot ``i``."""
        total = self.w[i] + self.w[j]
        if total > 0:
            share, other = self.w[i] / total, self.w[j] / total
            away = self.means[j] - self.means[i]
            self.covariances[i] = (
                share * self.covariances[i]
                + other * self.covariances[j]
                + share * other * np.outer(away, away)
            )
            self.means[i] = share * self.means[i] + other * self.means[j]
        self.w[i] = total
        self._close(j)
        self.labels[self.labels == j] = i

    def remove(self, i: int) -> None:
        """Take slot ``i`` out and share its weight among the others in proportion."""
        self._close(i)
        self.labels[self.labels == i] = REMOVED
        left = self.w.sum()
        self.w = self.w / left if left > 0 else self.alive / self.count

    def regroup(self, labels: np.ndarray) -> None:
        """Form every slot anew from the original components that ``labels [N]`` (slot numbers) gives it."""
        self.labels = np.array(labels)
        self.alive[:] = False
        self.w[:] = 0
        f = self.original
        for slot in np.unique(labels):
            members = np.flatnonzero(labels == slot)
            self.w[slot], self.means[slot], self.covariances[slot] = moments(
                f.weights[members], f.means[members], f.covariances[members]
            )
            self.alive[slot] = True
        self.count = int(self.alive.sum())

    def put(self, mixture: GaussianMixture) -> None:
        """Give the slots that are alive, in their order, the parameters of ``mixture``."""
        at = np.flatnonzero(self.alive)
        self.w[at], self.means[at], self.covariances[at] = (
            mixture.weights,
            mixture.means,
            mixture.covariances,
        )

    def mixture(self) -> GaussianMixture:
        """The components that are alive, in the order of their slots."""
        at = self.alive
        weights = self.w[at]
        return GaussianMixture.trusted(
            weights / weights.sum(), self.means[at], self.covariances[at]
        )

    def compact_labels(self) -> np.ndarray:
        """Index into ``mixture()`` of each original component, ``[N]``; ``REMOVED`` if it was removed."""
        place = np.cumsum(self.alive) - 1
        return np.where(self.labels == REMOVED, REMOVED, place[self.labels])

    def state(self) -> dict[str, Any]:
        """What ``restore`` takes."""
        return {
            name: getattr(self, name).copy()
            for name in ("w", "means", "covariances", "alive", "labels")
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        for name in ("w", "means", "covariances", "alive", "labels"):
            setattr(self, name, np.array(state[name]))
        self.count = int(self.alive.sum())

    def _close(self, i: int) -> None:
        self.w[i] = 0
        self.alive[i] = False
        self.count -= 1
