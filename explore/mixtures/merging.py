"""Moment-matching merges, and the mutable mixture that a reduction works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explore.core.array_validation import as_array
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.mixture import GaussianMixture

REMOVED = -1
"""Label of a removed component, and second slot of the step that removed it."""

STATE_NAMES = ("w", "means", "covariances", "alive", "labels")


@quiet
def merge_moments(
    mixture: GaussianMixture, indices: int | Sequence[int] | Any
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return weight, mean ``[d]`` and covariance ``[d, d]`` of the merge of some components.

    The merge keeps their mass and their first two moments: ``W = Σ w_i``, ``m = Σ w_i μ_i / W``,
    ``P = Σ w_i (Σ_i + (μ_i − m)(μ_i − m)ᵀ) / W``. The order of merges does not matter. Where all
    weights are zero, mean and covariance are those of the first component.

    Raises:
        InvalidInput: no index, an index out of range, or the same index twice.

    Example:
        >>> two = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> merge_moments(two, [0, 1])
        (1.0, array([0.]), array([[1.1]]))
    """
    if not isinstance(mixture, GaussianMixture):
        raise InvalidInput(f"mixture must be a GaussianMixture, got {type(mixture).__name__}")
    rows = np.atleast_1d(as_array("indices", indices))
    if rows.size and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
        raise InvalidInput(
            f"indices must be different numbers from 0 to {len(mixture) - 1}, whole and in one "
            f"list, got {rows.dtype} {list(rows.shape)}"
        )
    distinct = set(rows.tolist())
    if not distinct or not distinct <= set(range(len(mixture))) or len(distinct) < len(rows):
        raise InvalidInput(
            f"indices must be different numbers from 0 to {len(mixture) - 1}, at least one, "
            f"got {rows.tolist()}"
        )
    weight, mean, covariance = moments(
        mixture.weights[rows], mixture.means[rows], mixture.covariances[rows]
    )
    if not np.isfinite(covariance).all():
        raise InvalidInput(
            "the components are so far from each other that the covariance of their merge is "
            "larger than any number; choose a larger unit"
        )
    return float(weight), mean, covariance


def moments(
    w: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Compute ``merge_moments`` from arrays ``[k]``, ``[k, d]``, ``[k, d, d]``."""
    total = w.sum()
    if total <= 0:
        return 0.0, means[0].copy(), covariances[0].copy()
    share = w / total
    mean = share @ means
    centred = means - mean
    return total, mean, np.tensordot(share, covariances, 1) + (centred.T * share) @ centred


class MutableMixture:
    """A mixture under reduction: components in N slots, which are merged, removed or regrouped.

    Args:
        original: N components, one for each slot.

    Attributes:
        w, means, covariances: ``[N]``, ``[N, d]``, ``[N, d, d]``; unused where not alive.
        alive: ``[N]`` bool, whether the slot holds a component.
        labels: ``[N]``, the slot of each original component; ``REMOVED`` if it was removed.
        count: how many components are left.
    """

    def __init__(self, original: GaussianMixture) -> None:
        self.original = original
        self.w, self.means = original.weights.copy(), original.means.copy()
        self.covariances = original.covariances.copy()
        self.alive = np.ones(len(original), bool)
        self.labels = np.arange(len(original))
        self.count = len(original)

    def merge(self, i: int, j: int) -> None:
        """Merge the component in slot ``j`` into slot ``i``."""
        total = self.w[i] + self.w[j]
        if total > 0:
            share_i, share_j = self.w[i] / total, self.w[j] / total
            shift = self.means[j] - self.means[i]
            self.covariances[i] = (
                share_i * self.covariances[i]
                + share_j * self.covariances[j]
                + share_i * share_j * np.outer(shift, shift)
            )
            self.means[i] = share_i * self.means[i] + share_j * self.means[j]
        self.w[i] = total
        self._clear(j)
        self.labels[self.labels == j] = i

    def remove(self, i: int) -> None:
        """Remove the component in slot ``i`` and rescale the weights of the others to sum one."""
        self._clear(i)
        self.labels[self.labels == i] = REMOVED
        total = self.w.sum()
        self.w = self.w / total if total > 0 else self.alive / self.count

    def _clear(self, i: int) -> None:
        self.w[i] = 0
        self.alive[i] = False
        self.count -= 1

    def regroup(self, labels: np.ndarray) -> None:
        """Rebuild every slot from its original components; ``labels [N]`` are slot numbers."""
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

    def set_parameters(self, mixture: GaussianMixture) -> None:
        """Assign the components of ``mixture`` to the slots that are alive, in their order."""
        slots = np.flatnonzero(self.alive)
        self.w[slots], self.means[slots] = mixture.weights, mixture.means
        self.covariances[slots] = mixture.covariances

    def freeze(self) -> GaussianMixture:
        """Return the components that are left as a mixture, in the order of their slots."""
        alive = self.alive
        weights = self.w[alive]
        return GaussianMixture._unchecked(
            weights / weights.sum(), self.means[alive], self.covariances[alive]
        )

    def compact_labels(self) -> np.ndarray:
        """Return the index in ``freeze()`` of each original component, ``[N]``, or ``REMOVED``."""
        index = np.cumsum(self.alive) - 1
        return np.where(self.labels == REMOVED, REMOVED, index[self.labels])

    def state(self) -> dict[str, Any]:
        """Return the arrays that ``restore`` needs."""
        return {name: getattr(self, name).copy() for name in STATE_NAMES}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        for name in STATE_NAMES:
            setattr(self, name, np.array(state[name]))
        self.count = int(self.alive.sum())
