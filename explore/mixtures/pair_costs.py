"""Which two to merge next: what every pair would cost, by any criterion, in plain NumPy; for one look, not for a reduction."""

from __future__ import annotations

import numpy as np

from explore.errors import InvalidInput, UnknownName
from explore.mixtures.components import Parts, moments
from explore.mixtures.distances import KINDS, inner_log, overlap
from explore.mixtures.mixture import GaussianMixture

CRITERIA = ("angle", "ise", "ise-local", "runnalls", "salmond")


def score_pairs(
    mixture: GaussianMixture, criterion: str = "angle", original: GaussianMixture | None = None
) -> np.ndarray:
    """What merging components i and j would cost, ``[n, n]``, symmetric, NaN on the diagonal; the least is merged next.

    Args:
        mixture: as it stands.
        criterion: "angle" (radians) or "ise": of the mixture after the merge to ``original``;
            "ise-local": of the pair to its merge; "runnalls" (nats) or "salmond": see Runnalls, 2007.
        original: what the first two compare with; ``mixture`` itself if left out.

    Raises:
        UnknownName: another criterion.

    Example:
        >>> three = GaussianMixture([0.4, 0.3, 0.3], [0.0, 0.1, 2.0], [0.1, 0.1, 0.1])
        >>> score_pairs(three, "runnalls").round(4)[0]
        array([   nan, 0.0085, 0.8327])
    """
    if criterion not in CRITERIA:
        raise UnknownName("criterion", criterion, CRITERIA)
    f = mixture if original is None else original
    n, own = len(mixture), inner_log(f, f)
    found = np.full((n, n), np.nan)
    for j in range(n):
        for i in range(j):
            if criterion in ("angle", "ise"):
                after = merged_pair(mixture, i, j)
                found[i, j] = found[j, i] = KINDS[criterion](f, after, overlap(f, after, own))
            else:
                found[i, j] = found[j, i] = _cost(mixture, i, j, criterion)
    return found


def best_pair(scores: np.ndarray) -> tuple[int, int]:
    """The pair ``(i, j)``, i < j, of least score; ties go to the lowest.

    Raises:
        InvalidInput: there is only one component.
    """
    if len(scores) < 2:
        raise InvalidInput("one component is left; there is nothing to merge it with")
    i, j = np.unravel_index(
        np.nanargmin(np.where(np.tri(len(scores), dtype=bool), np.nan, scores)), scores.shape
    )
    return int(i), int(j)


def merged_pair(mixture: GaussianMixture, i: int, j: int) -> GaussianMixture:
    """The mixture with component ``j`` merged into ``i`` (see ``merge_moments``); the order of the others is kept."""
    parts = Parts(mixture)
    parts.merge(i, j)
    return parts.mixture()


def _cost(mixture: GaussianMixture, i: int, j: int, criterion: str) -> float:
    w, pair = mixture.weights, np.array([i, j])
    total, mean, covariance = moments(w[pair], mixture.means[pair], mixture.covariances[pair])
    if criterion == "runnalls":
        merged, *own = np.linalg.slogdet(np.stack([covariance, *mixture.covariances[pair]]))[1]
        return float(max(0.0, 0.5 * (w[i] * (merged - own[0]) + w[j] * (merged - own[1]))))
    if criterion == "salmond":
        apart = mixture.means[i] - mixture.means[j]
        return (
            float(w[i] * w[j] / total * apart @ np.linalg.solve(mixture.covariance, apart))
            if total > 0
            else 0.0
        )
    if total <= 0:
        return 0.0
    two = GaussianMixture.trusted(w[pair] / total, mixture.means[pair], mixture.covariances[pair])
    one = GaussianMixture.trusted(np.ones(1), mean[None], covariance[None])
    return float(total**2 * KINDS["ise"](two, one, overlap(two, one)))
