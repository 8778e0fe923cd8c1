"""The cost of merging each pair of components, in plain NumPy, for inspection."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from explore.core.array_validation import check_array
from explore.core.validation import check_choice
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.distances import CLOSED_FORM_DISTANCES, ise
from explore.mixtures.inner_products import check_mixture, inner_log, inner_products
from explore.mixtures.merging import MutableMixture, moments
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.stages import check_pair_exists

PAIR_CRITERIA = ("angle", "ise", "ise-local", "runnalls", "salmond")


@quiet
def score_pairs(
    mixture: GaussianMixture, criterion: str = "angle", original: GaussianMixture | None = None
) -> np.ndarray:
    """Compute the costs of merging components i and j, ``[n, n]``, symmetric, NaN on the diagonal.

    A reduction merges the pair of least cost next.

    Args:
        mixture: the present mixture.
        criterion: "angle" (radians) or "ise": the distance from ``original`` to the mixture after
            the merge; "ise-local": from the pair to its merge; "runnalls" (nats) or "salmond": see
            Runnalls, 2007.
        original: the reference of "angle" and "ise"; ``mixture`` itself if left out.

    Raises:
        UnknownName: another criterion.

    Example:
        >>> three = GaussianMixture([0.4, 0.3, 0.3], [0.0, 0.1, 2.0], [0.1, 0.1, 0.1])
        >>> score_pairs(three, "runnalls").round(4)[0]
        array([   nan, 0.0085, 0.8327])
    """
    criterion = check_choice("criterion", criterion, PAIR_CRITERIA)
    check_mixture("mixture", mixture)
    f = mixture if original is None else check_mixture("original", original)
    n, norm = len(mixture), inner_log(f, f)
    scores = np.full((n, n), np.nan)
    for i, j in combinations(range(n), 2):
        if criterion in ("angle", "ise"):
            g = merged_pair(mixture, i, j)
            cost = CLOSED_FORM_DISTANCES[criterion](f, g, inner_products(f, g, norm))
        else:
            cost = _local_cost(mixture, i, j, criterion)
        check_pair_exists(0 if np.isfinite(cost) else -1)
        scores[i, j] = scores[j, i] = cost
    return scores


def best_pair(scores: np.ndarray) -> tuple[int, int]:
    """Return the pair ``(i, j)``, i < j, of least score; of equal pairs, the first.

    Raises:
        InvalidInput: there is only one component.
    """
    scores = check_array("scores", scores, ("n", len(scores)), finite=False)
    if len(scores) < 2:
        raise InvalidInput("the mixture has one component; there is nothing to merge it with")
    upper = np.where(np.tri(len(scores), dtype=bool), np.nan, scores)
    i, j = np.unravel_index(np.nanargmin(upper), scores.shape)
    return int(i), int(j)


def merged_pair(mixture: GaussianMixture, i: int, j: int) -> GaussianMixture:
    """Return the mixture with component ``j`` merged into ``i``; the others keep their order."""
    current = MutableMixture(mixture)
    current.merge(i, j)
    return current.freeze()


def _local_cost(mixture: GaussianMixture, i: int, j: int, criterion: str) -> float:
    w, pair = mixture.weights, np.array([i, j])
    means, covariances = mixture.means[pair], mixture.covariances[pair]
    total, mean, covariance = moments(w[pair], means, covariances)
    if criterion == "runnalls":
        log_det, log_det_i, log_det_j = np.linalg.slogdet(np.stack([covariance, *covariances]))[1]
        bound = 0.5 * (w[i] * (log_det - log_det_i) + w[j] * (log_det - log_det_j))
        return float(max(0.0, bound))
    if total <= 0:
        return 0.0
    if criterion == "salmond":
        shift = means[0] - means[1]
        return float(w[i] * w[j] / total * shift @ np.linalg.solve(mixture.covariance, shift))
    separate = GaussianMixture._unchecked(w[pair] / total, means, covariances)
    merged = GaussianMixture._unchecked(np.ones(1), mean[None], covariance[None])
    return float(total**2 * ise(separate, merged))
