"""Contrast of pairs: the loss that all contrastive methods share, MultiSupCon and MulSupCon."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn.functional import normalize

from explore.core.array_validation import check_shape
from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_number
from explore.multilabel._checks import check_labels, check_result, check_values, full_precision
from explore.multilabel.config import MIN_TEMPERATURE
from explore.multilabel.overlap import label_overlap, positive_pairs

SAFE_SCALE = 1e15
"""Features between this and its inverse have squares that float32 holds."""


class Contrast(NamedTuple):
    """A contrastive loss, and how many samples of the batch were anchors.

    Attributes:
        loss: a scalar, the mean over the anchors; an exact 0 if there are none.
        anchors: samples with one or more positives.
        skipped: samples without a positive, which are no anchors. They stay negatives of others.
    """

    loss: torch.Tensor
    anchors: int
    skipped: int


@full_precision
def pair_contrast(logits: Any, positives: Any, weights: Any = None) -> Contrast:
    """Return the contrastive loss of a batch, with the mean over positives outside the logarithm.

    For anchor i with the positives A(i):
    −1/|A(i)| Σ_j w_ij (l_ij − log Σ_{k ≠ i} exp l_ik), and the mean over all anchors with one or
    more positives.

    Args:
        logits: similarities divided by the temperature, ``[N, N]``; the diagonal is ignored.
        positives: bool ``[N, N]``; the diagonal is ignored.
        weights: ``[N, N]``, of the positives; by default 1.

    Raises:
        InvalidInput: shapes that do not match, or logits that are not finite.

    Source: Khosla et al., arXiv 2004.11362, equation 2 ("out"). That an anchor without positives is
    left out of the mean is our reading.

    Example:
        >>> logits = torch.zeros(3, 3)
        >>> pair_contrast(logits, torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool())
        Contrast(loss=tensor(0.6931), anchors=2, skipped=1)
    """
    logits = check_values("logits", logits, ("N", "N"))
    count = len(logits)
    shape = (count, count)
    check_shape("logits", logits, shape, "float", empty=True)
    positives = check_tensor("positives", positives, shape, kind="flag", empty=True)
    if weights is not None:
        weights = check_values("weights", weights, shape).to(logits.device)
    contrast = contrast_of_pairs(logits, positives.to(logits.device), weights)
    return contrast._replace(loss=check_result("the loss", contrast.loss, "logits or weights"))


def contrast_of_pairs(
    logits: torch.Tensor, positives: torch.Tensor, weights: torch.Tensor | None = None
) -> Contrast:
    """Return the loss of ``pair_contrast`` for tensors that fit."""
    count = len(logits)
    diagonal = torch.eye(count, dtype=torch.bool, device=logits.device)
    positives = positives & ~diagonal
    positive_count = positives.sum(1)
    anchors = int((positive_count > 0).sum())
    if not anchors:
        return Contrast((logits * 0).sum(), 0, count)
    log_probability = logits - logits.masked_fill(diagonal, -torch.inf).logsumexp(1, keepdim=True)
    weighted = log_probability if weights is None else weights * log_probability
    per_anchor = torch.where(positives, weighted, 0.0).sum(1) / positive_count.clamp(min=1)
    return Contrast(-per_anchor.sum() / anchors, anchors, count - anchors)


@full_precision
def multisupcon_loss(
    features: Any,
    labels: Any,
    temperature: float = 0.1,
    alpha: float = 0.3,
    overlap: str = "jaccard",
) -> Contrast:
    """Return the MultiSupCon loss: pairs above an overlap are positive, weighted by the overlap.

    Args:
        features: ``[N, D]``; they are divided by their norms.
        labels: ``[N, K]`` of 0 and 1.
        temperature: by which the cosines are divided, at least 1e-9.
        alpha, overlap: see ``positive_pairs``.

    Raises:
        InvalidInput: labels other than 0 and 1, features that are not finite, or an option out of
            its range.

    Source: the public MultiSupCon (issue 658 of pytorch-metric-learning), which thresholds the
    Jaccard index at 0.3 and weights by it.

    Example:
        >>> multisupcon_loss(torch.eye(3), torch.tensor([[1, 0], [1, 0], [0, 1]])).skipped
        1
    """
    logits = _cosine_logits(features, temperature)
    labels = check_labels(labels, rows=len(logits)).to(logits.device)
    return contrast_of_pairs(
        logits, positive_pairs(labels, alpha, overlap), label_overlap(labels, overlap)
    )


@full_precision
def mulsupcon_loss(features: Any, labels: Any, temperature: float = 0.1) -> Contrast:
    """Return the MulSupCon loss: one set of positives for each label of the anchor.

    For each label of an anchor, the other samples with this label are its positives. The loss is
    the mean over all such sets that have a positive, so that a sample that shares two labels counts
    twice.

    Args:
        features: ``[N, D]``; they are divided by their norms.
        labels: ``[N, K]`` of 0 and 1.
        temperature: by which the cosines are divided, at least 1e-9.

    Raises:
        InvalidInput: labels other than 0 and 1, features that are not finite, or a temperature that
            is not above 0.

    Source: Zhang and Wu, "Multi-Label Supervised Contrastive Learning", AAAI 2024. The mean over
    all sets of the batch is our reading.

    Example:
        >>> mulsupcon_loss(torch.eye(3), torch.tensor([[1, 1], [1, 0], [0, 1]])).anchors
        3
    """
    logits = _cosine_logits(features, temperature)
    labels = check_labels(labels, rows=len(logits)).to(logits)
    count = len(logits)
    diagonal = torch.eye(count, dtype=torch.bool, device=logits.device)
    others = (labels.sum(0) - labels) * labels  # positives of each anchor by label, [N, K]
    sets = others > 0
    anchors = int(sets.any(1).sum())
    if not anchors:
        return Contrast((logits * 0).sum(), 0, count)
    # Sum over labels of the mean over a set: pair (i, j) has Σ_k y_ik y_jk / |set of i and k|.
    weights = torch.where(sets, labels / others.clamp(min=1), 0.0) @ labels.T
    log_probability = logits - logits.masked_fill(diagonal, -torch.inf).logsumexp(1, keepdim=True)
    weighted = torch.where(diagonal, 0.0, weights * log_probability)
    return Contrast(-weighted.sum() / sets.sum(), anchors, count - anchors)


def _cosine_logits(features: Any, temperature: float) -> torch.Tensor:
    """Return the cosines of all pairs, divided by the temperature."""
    temperature = check_number("temperature", temperature, at_least=MIN_TEMPERATURE)
    features = check_values("features", features, ("N", "D"))
    unit = normalize(features / _scale_of(features), dim=1)
    return unit @ unit.T / temperature


def _scale_of(features: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude of each row, ``[N, 1]``; 1 where squares do not overflow."""
    if not features.shape[1]:
        return features.new_ones(len(features), 1)
    largest = features.detach().abs().amax(1, keepdim=True)
    is_safe = (largest < SAFE_SCALE) & (largest > 1 / SAFE_SCALE)
    return torch.where(is_safe | (largest == 0), 1.0, largest)
