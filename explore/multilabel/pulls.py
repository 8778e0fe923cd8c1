"""The pull of samples on an anchor: the derivative of KMCL's contrast, without torch.

It is computed from recorded mixtures, so that pictures can show it for any anchor at any step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.core.array_validation import check_array
from explore.core.validation import check_choice, check_number, check_whole_number
from explore.errors import InvalidInput
from explore.multilabel._array_checks import check_label_array, check_row
from explore.multilabel._label_sets import is_at_least, overlap_of
from explore.multilabel.config import (
    CORRELATION_NAMES,
    INSIDE_EPSILON,
    MIN_TEMPERATURE,
    OVERLAP_NAMES,
)

MOST_AXES = 2**31
MOST_WEIGHT = 1.01
"""Weights that were stored as halves may be above 1 by rounding."""


def anchor_similarity(means: Any, variances: Any, anchor: int, axes: int) -> np.ndarray:
    """Return the Bhattacharyya coefficients of an anchor's components with those of all samples.

    Args:
        means: ``[N, K]``, equal on all axes, or ``[N, K, q]``.
        variances: ``[N, K]``, equal on all axes.
        anchor: a row.
        axes: the number of axes of ``[N, K]``.

    Returns:
        float64 ``[N, K]``, 1 for the anchor itself.

    Raises:
        InvalidInput: shapes that do not match, values that are not finite, variances that are not
            above 0, or no such row.

    Example:
        >>> anchor_similarity(np.array([[0.0], [2.0]]), np.ones((2, 1)), 0, axes=1).round(4)
        array([[1.    ],
               [0.6065]])
    """
    means = check_array("means", means, ("N", "K", ...))
    if means.ndim > 3:
        raise InvalidInput(f"means must be [N, K] or [N, K, q], got {list(means.shape)}")
    variances = check_array("variances", variances, means.shape[:2])
    if (variances <= 0).any():
        raise InvalidInput("variances must be above 0")
    anchor = check_row("anchor", anchor, len(means))
    axes = check_whole_number("axes", axes, 0 if means.ndim == 3 else 1, MOST_AXES)
    with np.errstate(over="ignore", under="ignore"):  # Far components have the similarity 0.
        difference = np.square(means - means[anchor])
        squares = difference.sum(2) if means.ndim == 3 else axes * difference
        axes = means.shape[2] if means.ndim == 3 else axes
        first, second = variances, variances[anchor]
        roots = np.sqrt(first), np.sqrt(second)
        ratio = np.square(roots[0] - roots[1]) / (2 * (roots[0] * roots[1]))
        total = np.minimum(first + second, np.finfo(float).max)
    return np.exp(-0.25 * squares / total - 0.5 * axes * np.log1p(ratio))


def pulls_on_anchor(
    similarity: Any,
    labels: Any,
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
        InvalidInput: labels other than 0 and 1, similarities of another shape, no such row, or an
            option out of its range.
        UnknownName: another correlation or overlap.

    Source: derivative of the contrast of KMCL (arXiv 2307.03967).

    Example:
        >>> labels = np.array([[1, 1], [1, 1], [0, 1], [0, 0]])
        >>> pulls_on_anchor(np.ones((4, 2)), labels, 0, temperature=1.0).round(3)
        array([ 0.   ,  0.583, -0.167, -0.417])
    """
    temperature = check_number("temperature", temperature, at_least=MIN_TEMPERATURE)
    correlation = check_choice("correlation", correlation, CORRELATION_NAMES)
    overlap = check_choice("overlap", overlap, OVERLAP_NAMES)
    if alpha is not None:
        alpha = check_number("alpha", alpha, above=0, at_most=1)
    labels = check_label_array(labels)
    similarity = check_array("similarity", similarity, labels.shape)
    anchor = check_row("anchor", anchor, len(labels))
    others = np.arange(len(labels)) != anchor
    own = labels[anchor]
    overlaps = overlap_of(labels, overlap, labels[[anchor]])[0]
    if alpha is None:
        positive = (labels @ own > 0) & others
    else:
        positive = is_at_least(overlaps, alpha) & others
    if not positive.any():
        return np.zeros(len(labels))
    logits = np.where(others[:, None], similarity / temperature, -np.inf)
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


def matched_similarity(weights: Any, means: Any, variances: Any, anchor: int) -> np.ndarray:
    """Return the matched similarity of an anchor's Gaussian mixture with those of all samples.

    It is Σ_k √(π_k π'_k) ρ^k, as in ``explore.multilabel.mixture_similarity``.

    Args:
        weights: ``[N, C]``.
        means: ``[N, C, q]``.
        variances: ``[N, C]``.
        anchor: a row.

    Returns:
        ``[N]``, about 1 for the anchor itself.

    Raises:
        InvalidInput: see ``anchor_similarity``, or weights of another shape or outside
            0..1.
    """
    means = check_array("means", means, ("N", "C", "q"))
    similarity = anchor_similarity(means, variances, anchor, 0)
    weights = check_array("weights", weights, similarity.shape)
    if (weights < 0).any() or (weights > MOST_WEIGHT).any():
        raise InvalidInput("weights must be 0 to 1, with a sum of 1 in each row")
    anchor = check_row("anchor", anchor, len(weights))
    result: np.ndarray = (np.sqrt(weights * weights[anchor]) * similarity).sum(1)
    return result


def pair_pulls(similarity: Any, positive: Any, anchor: int, temperature: float) -> np.ndarray:
    """Return the pull of each sample on an anchor in a contrast of pairs, −∂L/∂S, ``[N]``.

    Args:
        similarity: S of the anchor with each sample, ``[N]``.
        positive: bool ``[N]``; the anchor itself is ignored.
        anchor: its row.
        temperature: by which S is divided.

    Raises:
        InvalidInput: arrays of another shape or type, no such row, or a temperature below 1e-9.

    Source: derivative of ``explore.multilabel.pair_contrast`` for one anchor.

    Example:
        >>> pair_pulls(np.zeros(3), np.array([True, True, False]), 0, temperature=0.5)
        array([ 0.,  1., -1.])
    """
    temperature = check_number("temperature", temperature, at_least=MIN_TEMPERATURE)
    similarity = check_array("similarity", similarity, ("N",))
    positive = check_array("positive", positive, similarity.shape, kind="flag")
    anchor = check_row("anchor", anchor, len(similarity))
    others = np.arange(len(similarity)) != anchor
    positive = positive & others
    if not positive.any():
        return np.zeros(len(similarity))
    logits = np.where(others, similarity / temperature, -np.inf)
    exponents = np.exp(logits - logits.max())
    result: np.ndarray = (positive / positive.sum() - exponents / exponents.sum()) / temperature
    return result
