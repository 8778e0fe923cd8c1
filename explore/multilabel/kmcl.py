"""The loss of KMCL: classification, reconstruction, and the contrast of components of one label."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.validation import check_choice, check_number
from explore.multilabel._checks import check_mask, check_result, full_precision
from explore.multilabel.classification import asymmetric_loss
from explore.multilabel.config import (
    CORRELATION_NAMES,
    INSIDE_EPSILON,
    MIN_TEMPERATURE,
    OVERLAP_NAMES,
)
from explore.multilabel.contrast import Contrast
from explore.multilabel.kernel_mixture import (
    KernelMixture,
    check_mixture,
    fitting_labels,
    reconstruction_of,
)
from explore.multilabel.overlap import label_overlap, positive_pairs
from explore.multilabel.similarity import similarity_of_anchors as anchor_similarity


@full_precision
def kernel_contrast(
    mixture: KernelMixture,
    labels: Any,
    temperature: float = 0.17,
    correlation: str = "outside",
    alpha: float | None = None,
    overlap: str = "jaccard",
) -> Contrast:
    """Return the contrastive loss of KMCL: components of shared labels become similar.

    For anchor n and each other sample j with a shared label, the sum over shared labels k of −J_nj
    log p^k_nj, where p^k is the softmax over the batch of ρ^k_nj / temperature, ρ^k the
    Bhattacharyya coefficient of both components k and J the overlap of both label sets. Then the
    mean over the positives of an anchor, and over the anchors with a positive.

    Args:
        mixture: of B samples.
        labels: ``[B, K]`` of 0 and 1.
        temperature: τ, at least 1e-9.
        correlation: where J stands: "outside" of the logarithm, as a weight; "inside", as in the
            released code, where J is a constant without any effect on gradients; or "none".
        alpha: overlap from which a pair is positive; None: one shared label is enough, as in KMCL.
        overlap: the measure that J and ``alpha`` are of; see ``label_overlap``.

    Raises:
        InvalidInput: labels other than 0 and 1, parameters that are not finite, or a temperature
            below 1e-9.

    Source: KMCL (arXiv 2307.03967). The released code has J inside; J outside, and the mean over
    anchors with a positive, are our reading.

    Example:
        >>> zeros = torch.zeros(3, 2)
        >>> mixture = KernelMixture(torch.zeros(3, 4), zeros, zeros, zeros + 1)
        >>> kernel_contrast(mixture, torch.tensor([[1, 0], [1, 1], [0, 0]]))
        Contrast(loss=tensor(0.3466), anchors=2, skipped=1)
    """
    mixture = check_mixture(mixture)
    labels = fitting_labels(mixture, labels)
    return _contrast_of(mixture, labels, temperature, correlation, alpha, overlap)


def _contrast_of(
    mixture: KernelMixture,
    labels: torch.Tensor,
    temperature: float,
    correlation: str,
    alpha: float | None,
    overlap: str,
) -> Contrast:
    """Return the same as ``kernel_contrast`` for a mixture and labels that are checked."""
    temperature = check_number("temperature", temperature, at_least=MIN_TEMPERATURE)
    correlation = check_choice("correlation", correlation, CORRELATION_NAMES)
    overlap = check_choice("overlap", overlap, OVERLAP_NAMES)
    if alpha is not None:
        alpha = check_number("alpha", alpha, above=0, at_most=1)
    count = len(labels)
    diagonal = torch.eye(count, dtype=torch.bool, device=labels.device)
    if alpha is None:
        positives = (labels @ labels.T > 0) & ~diagonal
    else:
        positives = positive_pairs(labels, alpha, overlap)
    positive_count = positives.sum(1)
    anchors = int((positive_count > 0).sum())
    if not anchors:
        zero: torch.Tensor = (mixture.means * 0).sum() + (mixture.variances * 0).sum()
        return Contrast(zero, 0, count)
    # Only the components of an anchor's own labels matter: P rows in place of B × K.
    rows, columns = (labels * (positive_count > 0)[:, None]).nonzero(as_tuple=True)
    parameters = mixture.means, mixture.variances
    similarity = anchor_similarity(*parameters, rows, columns, mixture.features.shape[1])
    energy = similarity / temperature
    others = energy.masked_fill(diagonal[rows], -torch.inf)
    log_probability = energy - others.logsumexp(1, keepdim=True)
    correlations = label_overlap(labels, overlap).to(energy)[rows]
    if correlation == "inside":
        log_probability = torch.log(correlations * log_probability.exp() + INSIDE_EPSILON)
    weight = (positives.to(energy) / positive_count.clamp(min=1)[:, None])[rows]
    if correlation == "outside":
        weight = weight * correlations
    total = (weight * labels.T[columns] * log_probability).sum()
    loss = check_result("the contrast", -total / anchors, "means or variances")
    return Contrast(loss, anchors, count - anchors)


@full_precision
def kmcl_loss(
    mixture: KernelMixture,
    labels: Any,
    *,
    temperature: float = 0.17,
    correlation: str = "outside",
    alpha: float | None = None,
    overlap: str = "jaccard",
    classification_weight: float = 1.0,
    reconstruction_weight: float | None = None,
    contrast_weight: float | None = None,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    mask: Any = None,
) -> dict[str, Any]:
    """Return the terms of the KMCL loss and their weighted sum.

    Args:
        mixture: of B samples, as ``KernelMixtureHead`` returns it.
        labels: ``[B, K]`` of 0 and 1.
        temperature, correlation, alpha, overlap: of ``kernel_contrast``.
        classification_weight, reconstruction_weight, contrast_weight: factors of the terms. None is
            1 / B: the balance of the released code, which sums the asymmetric loss over the batch
            and averages the others. With 1 : 1 : 1 the classifier learns little.
        gamma_neg, gamma_pos, clip: of ``asymmetric_loss``.
        mask: bool ``[B, K]``, False for missing labels.

    Returns:
        "classification" (asymmetric loss: sum over labels, mean over samples), "reconstruction",
        "contrast" and "total", scalars; "anchors" and "skipped", numbers of samples.

    Raises:
        InvalidInput: labels other than 0 and 1, parameters that are not finite, or a negative
            weight.

    Source: KMCL (arXiv 2307.03967); see the three functions for what is our reading.

    Example:
        >>> from explore.multilabel import KernelMixtureHead
        >>> head = KernelMixtureHead(4, 2)
        >>> terms = kmcl_loss(head(torch.eye(4)), torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]]))
        >>> sorted(terms), terms["anchors"]
        (['anchors', 'classification', 'contrast', 'reconstruction', 'skipped', 'total'], 3)
    """
    mixture = check_mixture(mixture)
    default = 1 / max(len(mixture.logits), 1)
    weights = {
        "classification": classification_weight,
        "reconstruction": default if reconstruction_weight is None else reconstruction_weight,
        "contrast": default if contrast_weight is None else contrast_weight,
    }
    weights = {
        name: check_number(f"{name}_weight", weight, at_least=0) for name, weight in weights.items()
    }
    values = fitting_labels(mixture, labels, mask)
    if mask is not None:
        mask = check_mask(mask, tuple(values.shape)).to(values.device)
    contrast = _contrast_of(mixture, values, temperature, correlation, alpha, overlap)
    terms: dict[str, Any] = {
        "classification": asymmetric_loss(
            mixture.logits, values, gamma_neg, gamma_pos, clip, "sample", mask
        ),
        "reconstruction": reconstruction_of(mixture, values, mask),
        "contrast": contrast.loss,
    }
    total = sum(weights[name] * terms[name] for name in weights)
    check_result("the loss", torch.as_tensor(total), "features, means, variances or weights")
    return {**terms, "total": total, "anchors": contrast.anchors, "skipped": contrast.skipped}
