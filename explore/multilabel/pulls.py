"""The pull of samples on an anchor: the derivative of KMCL's contrast, without torch.

It is computed from recorded mixtures, so that pictures can show it for any anchor at any step.
"""

from __future__ import annotations

import numpy as np

from explore.core.validation import check_choice
from explore.multilabel._label_sets import is_at_least, overlap_of
from explore.multilabel.config import CORRELATION_NAMES, INSIDE_EPSILON, OVERLAP_NAMES


def anchor_similarity(
    means: np.ndarray, variances: np.ndarray, anchor: int, axes: int
) -> np.ndarray:
    """Return the Bhattacharyya coefficients of an anchor's components with those of all samples.

    Args:
        means: ``[N, K]``, equal on all axes, or ``[N, K, q]``.
        variances: ``[N, K]``, equal on all axes.
        anchor: a row.
        axes: the number of axes of ``[N, K]``.

    Returns:
        float64 ``[N, K]``, 1 for the anchor itself.

    Example:
        >>> anchor_similarity(np.array([[0.0], [2.0]]), np.ones((2, 1)), 0, axes=1).round(4)
        array([[1.    ],
               [0.6065]])
    """
    means, variances = np.asarray(means, float), np.asarray(variances, float)
    difference = np.square(means - means[anchor])
    squares = difference.sum(2) if means.ndim == 3 else axes * difference
    axes = means.shape[2] if means.ndim == 3 else axes
    first, second = variances, variances[anchor]
    ratio = np.square(np.sqrt(first) - np.sqrt(second)) / (2 * np.sqrt(first * second))
    return np.exp(-0.25 * squares / (first + second) - 0.5 * axes * np.log1p(ratio))


def pulls_on_anchor(
    similarity: np.ndarray,
    labels: np.ndarray,
    anchor: int,
    *,
    temperature: float = 0.17,
    correlation: str = "outside",
    alpha: float | None = None,
    overlap: str = "jaccard",
) -> np.ndarray:
    """Return how strongly each sample of a batch pulls an anchor.

    The pull of sample j is −∂L/∂ρ_j, where L is the anchor's part of KMCL's contrast and ρ_j the
    similarity of its components with those of j, summed over the labels. Above 0 the loss moves
    both together, below 0 apart.

    Args:
        similarity: ``[N, K]``, of the anchor's components with those of each sample.
        labels: ``[N, K]`` of 0 and 1.
        anchor: its row.
        temperature, correlation, alpha, overlap: as in ``explore.multilabel.kernel_contrast``.

    Returns:
        ``[N]``; 0 for the anchor, and everywhere if it has no positive.

    Raises:
        UnknownName: another correlation or overlap.

    Source: derivative of the contrast of KMCL (arXiv 2307.03967).

    Example:
        >>> labels = np.array([[1, 1], [1, 1], [0, 1], [0, 0]])
        >>> pulls_on_anchor(np.ones((4, 2)), labels, 0, temperature=1.0).round(3)
        array([ 0.   ,  0.583, -0.167, -0.417])
    """
    check_choice("correlation", correlation, CORRELATION_NAMES)
    check_choice("overlap", overlap, OVERLAP_NAMES)
    labels = np.asarray(labels, float)
    others = np.arange(len(labels)) != anchor
    own = labels[anchor]
    overlaps = overlap_of(labels, overlap, labels[[anchor]])[0]
    if alpha is None:
        positive = (labels @ own > 0) & others
    else:
        positive = is_at_least(overlaps, alpha) & others
    if not positive.any():
        return np.zeros(len(labels))
    logits = np.where(others[:, None], np.asarray(similarity, float) / temperature, -np.inf)
    exponents = np.exp(logits - logits.max(0))
    probability = exponents / exponents.sum(0)
    weight = positive[:, None] * labels * own  # of −log p, by sample and shared label
    if correlation == "outside":
        weight = weight * overlaps[:, None]
    elif correlation == "inside":
        scaled = overlaps[:, None] * probability
        weight = weight * scaled / (scaled + INSIDE_EPSILON)
    gradient = weight - weight.sum(0) * probability
    result: np.ndarray = gradient.sum(1) / (positive.sum() * temperature)
    return result


def matched_similarity(
    weights: np.ndarray, means: np.ndarray, variances: np.ndarray, anchor: int
) -> np.ndarray:
    """Return the matched similarity of an anchor's Gaussian mixture with those of all samples.

    It is Σ_k √(π_k π'_k) ρ^k, as in ``explore.multilabel.mixture_similarity``.

    Args:
        weights: ``[N, C]``.
        means: ``[N, C, q]``.
        variances: ``[N, C]``.
        anchor: a row.

    Returns:
        ``[N]``, about 1 for the anchor itself.
    """
    weights = np.asarray(weights, float)
    similarity = anchor_similarity(means, variances, anchor, 0)
    result: np.ndarray = (np.sqrt(weights * weights[anchor]) * similarity).sum(1)
    return result


def pair_pulls(
    similarity: np.ndarray, positive: np.ndarray, anchor: int, temperature: float
) -> np.ndarray:
    """Return the pull of each sample on an anchor in a contrast of pairs, −∂L/∂S, ``[N]``.

    Args:
        similarity: S of the anchor with each sample, ``[N]``.
        positive: bool ``[N]``; the anchor itself is ignored.
        anchor: its row.
        temperature: by which S is divided.

    Source: derivative of ``explore.multilabel.pair_contrast`` for one anchor.

    Example:
        >>> pair_pulls(np.zeros(3), np.array([True, True, False]), 0, temperature=0.5)
        array([ 0.,  1., -1.])
    """
    others = np.arange(len(similarity)) != anchor
    positive = positive & others
    if not positive.any():
        return np.zeros(len(similarity))
    logits = np.where(others, np.asarray(similarity, float) / temperature, -np.inf)
    exponents = np.exp(logits - logits.max())
    result: np.ndarray = (positive / positive.sum() - exponents / exponents.sum()) / temperature
    return result
